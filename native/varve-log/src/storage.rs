//! The seam to the disk. Everything the engine reads or writes goes through [`Storage`], so that a simulated disk can
//! stand in for the real one and crash at any operation.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; only read.
    Read,
    /// Must exist; read and written.
    ReadWrite,
    /// Created when missing, emptied when there; read and written.
    Create,
}

/// Holds an exclusive lock until it is dropped, or until its process ends in whatever way.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// A file system of directories and files. A new, renamed or removed name survives a power loss only after
/// [`Storage::sync_dir`] of its directory, bytes only after [`File::sync_data`].
pub trait Storage: Send + Sync + 'static {
    /// Creates a directory and its missing parents; no error when it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names of the files and directories in `path`, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether there is a directory at `path`. An error says that nobody knows.
    fn is_dir(&self, path: &Path) -> io::Result<bool>;
    /// Whether there is anything at `path`. An error says that nobody knows.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Replaces `to` atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a directory that is empty.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in `path` durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Free bytes of the disk that `path` lies on, for this process.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Takes an exclusive lock on the file `path` (created when missing); `None` when another holder has it.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
}

/// What was found by its name; `None` if it is known not to be there.
pub(crate) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// An open file. It stays readable when its name is renamed or removed.
pub trait File: Send + Sync + 'static {
    /// Writes all of `buffers`, one behind the other, from `position` on.
    fn write_at(&self, buffers: &[&[u8]], position: u64) -> io::Result<()>;
    /// Fills `buffer` from `position` on; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Like [`File::read_at`] but never waits for the disk: `ErrorKind::WouldBlock`, or fewer bytes, when some of
    /// them are not in memory.
    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Makes the bytes written so far, and the file's length, durable. After an error nothing written since the last
    /// success may be counted on, and no later success brings it back.
    fn sync_data(&self) -> io::Result<()>;
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    /// Finds blocks for bytes that will be written, without making the file longer. A matter of speed alone.
    fn allocate(&self, _position: u64, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The descriptor, for whoever lets the kernel send the file's bytes; none where there is no file of the system's.
    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
