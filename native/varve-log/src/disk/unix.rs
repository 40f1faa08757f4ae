//! How Linux and macOS do it.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub fn write_some(file: &File, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    // `IoSlice` is guaranteed to have the layout of `iovec`.
    let written = unsafe {
        libc::pwritev(
            file.as_raw_fd(),
            buffers.as_ptr().cast(),
            buffers.len() as libc::c_int,
            position as libc::off_t,
        )
    };
    if written < 0 { Err(io::Error::last_os_error()) } else { Ok(written as usize) }
}

pub fn read_some(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    file.read_at(buffer, position)
}

#[cfg(target_os = "linux")]
pub fn try_read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let (fd, at) = (file.as_raw_fd(), position as libc::off_t);
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
pub fn try_read_at(_file: &File, _buffer: &mut [u8], _position: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(target_os = "linux")]
pub fn allocate(file: &File, position: u64, bytes: u64) -> io::Result<()> {
    let (at, length) = (position as libc::off_t, bytes as libc::off_t);
    match unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, at, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
pub fn allocate(_file: &File, _position: u64, _bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    match unsafe { libc::statvfs(path.as_ptr(), &mut found) } {
        0 => Ok(found.f_bavail as u64 * found.f_frsize as u64),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many files this process may have open; `None` where the system does not say.
pub fn descriptor_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    (told == 0).then_some(limit.rlim_cur)
}
