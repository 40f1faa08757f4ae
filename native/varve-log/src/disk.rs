//! The real disk.

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::storage::{File, LockGuard, OpenMode, Storage};

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

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
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
        fs::File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
        let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
        match unsafe { libc::statvfs(path.as_ptr(), &mut found) } {
            0 => Ok(found.f_bavail as u64 * found.f_frsize as u64),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // The kernel drops a flock with its last descriptor, so a killed process leaves none behind.
        match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
            0 => Ok(Some(Box::new(file))),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            },
        }
    }
}

struct DiskFile(fs::File);

impl DiskFile {
    fn write_some(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        // `IoSlice` is guaranteed to have the layout of `iovec`.
        let written = unsafe {
            libc::pwritev(
                self.0.as_raw_fd(),
                buffers.as_ptr().cast(),
                buffers.len() as libc::c_int,
                position as libc::off_t,
            )
        };
        if written < 0 { Err(io::Error::last_os_error()) } else { Ok(written as usize) }
    }
}

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
            let mut written = match self.write_some(&group, position) {
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
            match self.0.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    #[cfg(target_os = "linux")]
    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let (fd, at) = (self.0.as_raw_fd(), position as libc::off_t);
        let read = unsafe { libc::preadv2(fd, &slice, 1, at, libc::RWF_NOWAIT) };
        if read >= 0 {
            return Ok(read as usize);
        }
        match io::Error::last_os_error() {
            // A file system or kernel without RWF_NOWAIT, or one whose wait a signal ended, is read on threads only.
            error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINTR)) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            error => Err(error),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn try_read_at(&self, _buffer: &mut [u8], _position: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
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

    #[cfg(target_os = "linux")]
    fn allocate(&self, position: u64, bytes: u64) -> io::Result<()> {
        let (fd, at, length) = (self.0.as_raw_fd(), position as libc::off_t, bytes as libc::off_t);
        match unsafe { libc::fallocate(fd, libc::FALLOC_FL_KEEP_SIZE, at, length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}
