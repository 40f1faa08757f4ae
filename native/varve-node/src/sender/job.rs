use std::collections::VecDeque;
use std::io;
use std::iter::once;
use std::os::fd::{AsRawFd, BorrowedFd};

use varve_log::{Access, LogError, Slice};

/// A range of a file is looked at, and if need be read ahead, in steps of this many bytes.
pub const WINDOW_BYTES: u64 = 1 << 20;
/// A window counts as in memory when one byte of each so many is: the kernel reads ahead, and forgets, in larger pieces
/// than pages, and a hole that is missed costs one wait for the disk.
const PROBE_BYTES: usize = 64 << 10;

/// What one call of `send` gives to the kernel: bytes and ranges of files, in order.
pub struct Job {
    pub id: f64,
    parts: VecDeque<Part>,
    /// How much of the first part has been sent, and up to where it is known to be in memory.
    at: u64,
    warm: u64,
    /// Bytes that the kernel has not taken yet.
    pub left: u64,
}

enum Part {
    Bytes(Vec<u8>),
    File(Slice),
}

/// Where a drive stopped.
pub enum Stop {
    /// Everything has been given to the kernel.
    Sent,
    /// The socket takes nothing more for now.
    Full,
    /// It was the others' turn.
    Budget,
    /// The next bytes of the file are not in memory.
    Cold(ColdRange),
    Failed(SendError),
}

/// A range of a slice that has to be read from the disk before it is sent.
pub struct ColdRange {
    pub slice: Slice,
    pub at: u64,
    pub bytes: u64,
}

/// Why a job cannot be finished.
pub enum SendError {
    /// The socket refused, with the system's error number.
    Socket(i32),
    /// The file did.
    Log(LogError),
}

impl From<io::Error> for SendError {
    /// Of a call on the socket.
    fn from(error: io::Error) -> Self {
        Self::Socket(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl Job {
    pub fn new() -> Self {
        Self { id: 0.0, parts: VecDeque::new(), at: 0, warm: 0, left: 0 }
    }

    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.push(Part::Bytes(bytes.to_vec()), bytes.len() as u64);
    }

    pub fn push_slice(&mut self, slice: Slice) {
        let bytes = slice.bytes;
        self.push(Part::File(slice), bytes);
    }

    fn push(&mut self, part: Part, bytes: u64) {
        if bytes > 0 {
            self.left += bytes;
            self.parts.push_back(part);
        }
    }

    /// Sends until the job is done, the socket is full, or about `budget` bytes have gone.
    pub fn drive(&mut self, socket: BorrowedFd<'_>, budget: u64) -> Stop {
        let end = self.left.saturating_sub(budget);
        while let Some(part) = self.parts.front() {
            if self.left <= end {
                return Stop::Budget;
            }
            let (length, asked, sent) = match part {
                Part::Bytes(bytes) => {
                    let rest = &bytes[self.at as usize..];
                    (bytes.len() as u64, rest.len() as u64, send(socket, rest, self.parts.len() > 1))
                }
                Part::File(slice) => {
                    if self.at == self.warm {
                        let bytes = WINDOW_BYTES.min(slice.bytes - self.at);
                        if !is_cached(slice, self.at, bytes) {
                            return Stop::Cold(ColdRange { slice: slice.clone(), at: self.at, bytes });
                        }
                        self.warm = self.at + bytes;
                    }
                    let asked = self.warm - self.at;
                    (slice.bytes, asked, send_file(socket, slice, self.at, asked))
                }
            };
            // Behind the call, because what the kernel looked at may be gone, or something else by now.
            if let Part::File(slice) = part
                && let Err(error) = slice.assert_whole()
            {
                return Stop::Failed(SendError::Log(error));
            }
            match sent {
                Ok(0) => return Stop::Failed(self.unsendable(io::ErrorKind::UnexpectedEof.into())),
                Ok(bytes) => {
                    self.at += bytes;
                    self.left -= bytes;
                    if self.at == length {
                        self.parts.pop_front();
                        (self.at, self.warm) = (0, 0);
                    } else if bytes < asked {
                        return Stop::Full;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Stop::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Stop::Failed(self.unsendable(error)),
            }
        }
        Stop::Sent
    }

    /// A range that was cold has been read: it is sent without another look, so that a system that forgets at once, or
    /// cannot tell, is no endless loop.
    pub fn warmed(&mut self, bytes: u64) {
        self.warm = self.at + bytes;
    }

    fn unsendable(&self, error: io::Error) -> SendError {
        match (self.parts.front(), error.raw_os_error()) {
            (Some(Part::File(slice)), None) => SendError::Log(slice.too_short(self.at)),
            // The rest is what a socket may answer.
            (Some(Part::File(slice)), Some(libc::EIO | libc::EINVAL | libc::EOVERFLOW | libc::ENOSYS)) => {
                SendError::Log(slice.refused("send", error))
            }
            (_, errno) => SendError::Socket(errno.unwrap_or(libc::EIO)),
        }
    }
}

fn is_cached(slice: &Slice, at: u64, bytes: u64) -> bool {
    let mut byte = [0];
    let places = (at..at + bytes).step_by(PROBE_BYTES).chain(once(at + bytes - 1));
    places.into_iter().all(|place| matches!(slice.read(&mut byte, place, Access::Cached), Ok(1)))
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<u64> {
    let more = if more { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | more;
    counted(unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

fn send_file(socket: BorrowedFd<'_>, slice: &Slice, at: u64, bytes: u64) -> io::Result<u64> {
    let Some(file) = slice.file().and_then(|file| file.descriptor()) else {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    };
    let mut offset = (slice.position + at) as libc::off_t;
    counted(unsafe {
        libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &mut offset, bytes as libc::size_t)
    })
}

fn counted(result: libc::ssize_t) -> io::Result<u64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as u64) }
}
