//! How Windows does it. It compiles, and nothing has run it yet.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::FileExt;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

/// Writes one buffer: there is no call that gathers several through the page cache.
pub fn write_some(file: &File, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    let first = buffers.iter().find(|buffer| !buffer.is_empty());
    first.map_or(Ok(0), |buffer| file.seek_write(buffer, position))
}

pub fn read_some(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    file.seek_read(buffer, position)
}

/// Nobody can tell here whether a read would wait.
pub fn try_read_at(_file: &File, _buffer: &mut [u8], _position: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

pub fn allocate(_file: &File, _position: u64, _bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A directory cannot be flushed here; NTFS keeps a journal of names, and Kafka leaves it at that too (KAFKA-13391).
pub fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut free = 0;
    let done =
        unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &mut free, std::ptr::null_mut(), std::ptr::null_mut()) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(free) }
}

/// Memory is the only limit.
pub fn descriptor_limit() -> Option<u64> {
    None
}
