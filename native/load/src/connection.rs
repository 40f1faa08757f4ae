//! A socket that never blocks: whole frames go in, whole frames come out.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::Failure;

const STAGE_BYTES: usize = 256 << 10;
const LENGTH_BYTES: usize = 4;

pub struct Connection {
    stream: TcpStream,
    outgoing: VecDeque<Rc<[u8]>>,
    /// Of the first outgoing frame.
    sent: usize,
    incoming: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub fn open(address: &str, poll: &Poll, token: usize) -> Result<Self, Failure> {
        // Connecting may block: nothing is measured yet.
        let stream = std::net::TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, outgoing: VecDeque::new(), sent: 0, incoming: vec![0; 4 << 10], filled: 0 })
    }

    pub fn send(&mut self, frame: Rc<[u8]>) -> Result<(), Failure> {
        self.outgoing.push_back(frame);
        if self.outgoing.len() == 1 { self.flush() } else { Ok(()) }
    }

    /// Nothing waits for the socket.
    pub fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Writes until the socket takes no more; its next readiness says when it does.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while let Some(frame) = self.outgoing.front() {
            match self.stream.write(&frame[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if self.sent == frame.len() {
                self.sent = 0;
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    /// Reads until the socket has no more, and calls `each` with every frame, without its length.
    pub fn receive(&mut self, mut each: impl FnMut(&mut [u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            match self.stream.read(&mut self.incoming[self.filled..]) {
                Ok(0) => return Err("the broker ended the connection".into()),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            let mut start = 0;
            while let Some(end) = frame_end(&self.incoming[start..self.filled]).map(|length| start + length) {
                if end > self.filled {
                    break;
                }
                each(&mut self.incoming[start + LENGTH_BYTES..end])?;
                start = end;
            }
            self.incoming.copy_within(start..self.filled, 0);
            self.filled -= start;
            let needed = frame_end(&self.incoming[..self.filled]).unwrap_or(0);
            if self.incoming.len() == self.filled || self.incoming.len() < needed {
                self.incoming.resize(needed.max(STAGE_BYTES), 0);
            }
        }
    }
}

fn frame_end(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(..LENGTH_BYTES)?;
    Some(LENGTH_BYTES + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize)
}
