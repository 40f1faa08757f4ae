//! The real disk. What the systems do in ways of their own is in a module for each.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as system;

use std::fs;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::storage::{File, LockGuard, OpenMode, Storage, if_there};

pub use system::descriptor_limit;

/// A single write of 2 MiB or more makes ext4 allocate page-cache folios of that size, which measured 5–10 times
/// slower on virtual machines; every write is split below that.
const WRITE_BYTES: usize = 1 << 20;
/// Linux takes at most this many buffers in one `pwritev` (`IOV_MAX`).
const WRITE_BUFFERS: usize = 1024;

/// Directories and files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskStorage;

impl Storage for DiskStorage {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        Ok(if_there(fs::metadata(path))?.is_some_and(|found| found.is_dir()))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(if_there(fs::metadata(path))?.is_some())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let write = mode != OpenMode::Read;
        let create = mode == OpenMode::Create;
        let file =
            fs::OpenOptions::new().read(true).write(write).create(create).truncate(create).open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        system::sync_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        system::free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // The kernel drops it with its last descriptor, so a killed process leaves none behind.
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn write_at(&self, buffers: &[&[u8]], mut position: u64) -> io::Result<()> {
        let (mut index, mut skip) = (0, 0);
        let mut group: Vec<IoSlice<'_>> = Vec::with_capacity(buffers.len().min(WRITE_BUFFERS));
        while index < buffers.len() {
            group.clear();
            let mut room = WRITE_BYTES;
            for (i, buffer) in buffers[index..].iter().enumerate() {
                let rest = if i == 0 { &buffer[skip..] } else { buffer };
                let take = rest.len().min(room);
                group.push(IoSlice::new(&rest[..take]));
                room -= take;
                if room == 0 || group.len() == WRITE_BUFFERS {
                    break;
                }
            }
            let mut written = match system::write_some(&self.0, &group, position) {
                Ok(0) if group.iter().any(|slice| !slice.is_empty()) => {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            position += written as u64;
            while index < buffers.len() && written >= buffers[index].len() - skip {
                written -= buffers[index].len() - skip;
                index += 1;
                skip = 0;
            }
            skip += written;
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match system::read_some(&self.0, &mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        system::try_read_at(&self.0, buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, position: u64, bytes: u64) -> io::Result<()> {
        system::allocate(&self.0, position, bytes)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.0))
    }
}
