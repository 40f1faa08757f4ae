//! A disk whose bytes need not outlive the power: nothing is flushed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::storage::{File, LockGuard, OpenMode, Storage};

/// A storage that is never asked to make anything durable; for directories that go with their process.
pub struct UnsyncedStorage(pub Arc<dyn Storage>);

impl Storage for UnsyncedStorage {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.0.is_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(UnsyncedFile(self.0.open(path, mode)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.0.lock(path)
    }
}

struct UnsyncedFile(Arc<dyn File>);

impl File for UnsyncedFile {
    fn write_at(&self, buffers: &[&[u8]], position: u64) -> io::Result<()> {
        self.0.write_at(buffers, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.try_read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn allocate(&self, position: u64, bytes: u64) -> io::Result<()> {
        self.0.allocate(position, bytes)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.0.descriptor()
    }
}
