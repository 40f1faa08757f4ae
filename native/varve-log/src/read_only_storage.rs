//! A storage that changes nothing: what is read comes from another one, what is written stays in memory. A log that is
//! opened over it recovers as any other does, while its directory stays as it was found, whoever has it open.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::storage::{File, LockGuard, OpenMode, Storage};

const CHUNK_BYTES: usize = 64 << 10;

pub struct ReadOnlyStorage {
    inner: Arc<dyn Storage>,
    /// What differs from what is there, and what has been opened of it.
    entries: Mutex<BTreeMap<PathBuf, Entry>>,
}

enum Entry {
    Removed,
    Found(Arc<Found>),
    Written(Arc<Written>),
}

/// A file that is there. It ends where it ended when it was first opened, or earlier: what is appended later is not read.
struct Found {
    path: PathBuf,
    length: AtomicU64,
    /// Its content, once something else was written into it.
    written: OnceLock<Written>,
}

struct FoundFile {
    found: Arc<Found>,
    file: Arc<dyn File>,
}

/// A file that is only in memory.
struct Written {
    bytes: Mutex<Vec<u8>>,
    /// Nobody reads again what a recovery keeps aside.
    is_kept: bool,
}

impl ReadOnlyStorage {
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, entries: Mutex::default() }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Entry>> {
        self.entries.lock().expect("never held across a panic")
    }
}

fn changed() -> io::Error {
    io::Error::other(
        "it has been replaced or cut by the process that has the log open; open the log again to read on",
    )
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for ReadOnlyStorage {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = self.entries();
        let mut names = self.inner.list(path)?;
        for (file, entry) in entries.iter().filter(|(file, _)| file.parent() == Some(path)) {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            names.retain(|other| *other != name);
            if !matches!(entry, Entry::Removed) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.entries().get(path) {
            Some(entry) => Ok(!matches!(entry, Entry::Removed)),
            None => self.inner.exists(path),
        }
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut entries = self.entries();
        if mode == OpenMode::Create {
            let is_kept = path.extension().is_none_or(|extension| extension != "cut");
            let written = Arc::new(Written { bytes: Mutex::default(), is_kept });
            entries.insert(path.to_path_buf(), Entry::Written(written.clone()));
            return Ok(written);
        }
        match entries.get(path) {
            Some(Entry::Removed) => Err(missing()),
            Some(Entry::Written(written)) => Ok(written.clone()),
            Some(Entry::Found(found)) => {
                let file = self.inner.open(&found.path, OpenMode::Read)?;
                if file.len()? < found.length.load(Ordering::Relaxed) {
                    return Err(changed());
                }
                Ok(Arc::new(FoundFile { found: found.clone(), file }))
            }
            None => {
                let file = self.inner.open(path, OpenMode::Read)?;
                let length = AtomicU64::new(file.len()?);
                let found = Arc::new(Found { path: path.to_path_buf(), length, written: OnceLock::new() });
                entries.insert(path.to_path_buf(), Entry::Found(found.clone()));
                Ok(Arc::new(FoundFile { found, file }))
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.open(from, OpenMode::Read)?;
        drop(file);
        let mut entries = self.entries();
        let entry = entries.insert(from.to_path_buf(), Entry::Removed).ok_or_else(missing)?;
        entries.insert(to.to_path_buf(), entry);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.exists(path)? {
            return Err(missing());
        }
        self.entries().insert(path.to_path_buf(), Entry::Removed);
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_bytes(path)
    }

    /// Nobody is kept out, because nobody is disturbed.
    fn lock(&self, _path: &Path) -> io::Result<Option<LockGuard>> {
        Ok(Some(Box::new(())))
    }
}

impl FoundFile {
    /// How much of `wanted` bytes from `position` on lies before the end.
    fn within(&self, wanted: usize, position: u64) -> usize {
        let length = self.found.length.load(Ordering::Relaxed);
        length.saturating_sub(position).min(wanted as u64) as usize
    }

    /// Whether the bytes at `position` are these.
    fn has(&self, buffers: &[&[u8]], mut position: u64) -> io::Result<bool> {
        let mut there = vec![0; CHUNK_BYTES];
        for chunk in buffers.iter().flat_map(|buffer| buffer.chunks(CHUNK_BYTES)) {
            let there = &mut there[..chunk.len()];
            if self.read_at(there, position)? < chunk.len() || there != chunk {
                return Ok(false);
            }
            position += chunk.len() as u64;
        }
        Ok(true)
    }
}

impl File for FoundFile {
    /// A recovery writes again what it has read of a segment, to make it durable, which is not ours to do. Into small
    /// files it writes other things as well, of which there is a copy from then on.
    fn write_at(&self, buffers: &[&[u8]], position: u64) -> io::Result<()> {
        if let Some(written) = self.found.written.get() {
            return written.write_at(buffers, position);
        }
        if self.has(buffers, position)? {
            return Ok(());
        }
        if self.found.path.extension().is_some_and(|extension| extension == "log") {
            return Err(changed());
        }
        let mut bytes = vec![0; self.len()? as usize];
        self.read_at(&mut bytes, 0)?;
        let copy = Written { bytes: Mutex::new(bytes), is_kept: true };
        self.found.written.get_or_init(|| copy).write_at(buffers, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if let Some(written) = self.found.written.get() {
            return written.read_at(buffer, position);
        }
        let wanted = self.within(buffer.len(), position);
        match self.file.read_at(&mut buffer[..wanted], position)? {
            read if read < wanted => Err(changed()),
            read => Ok(read),
        }
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if let Some(written) = self.found.written.get() {
            return written.read_at(buffer, position);
        }
        let wanted = self.within(buffer.len(), position);
        self.file.try_read_at(&mut buffer[..wanted], position)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        if let Some(written) = self.found.written.get() {
            return written.set_len(bytes);
        }
        match bytes <= self.found.length.fetch_min(bytes, Ordering::Relaxed) {
            true => Ok(()),
            false => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        match self.found.written.get() {
            Some(written) => written.len(),
            None => Ok(self.found.length.load(Ordering::Relaxed)),
        }
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.file.descriptor()
    }
}

impl Written {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().expect("never held across a panic")
    }
}

impl File for Written {
    fn write_at(&self, buffers: &[&[u8]], position: u64) -> io::Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let mut bytes = self.bytes();
        let mut at = position as usize;
        for buffer in buffers {
            let end = at + buffer.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[at..end].copy_from_slice(buffer);
            at = end;
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        let from = (position as usize).min(bytes.len());
        let read = buffer.len().min(bytes.len() - from);
        buffer[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.bytes().resize(bytes as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }
}
