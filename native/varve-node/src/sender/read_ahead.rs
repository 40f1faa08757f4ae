use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use varve_log::{Access, LogError};

use super::job::{ColdRange, SendError, WINDOW_BYTES};

/// Windows that are read at the same time. A connection waits for one at a time, so they come in turn.
const THREADS: usize = 4;
const SCRATCH_BYTES: usize = 256 << 10;

type Task = Box<dyn FnOnce(&mut [u8]) + Send>;

/// Threads that bring ranges of files into memory. They are started when the first range is cold: a broker whose consumers
/// keep up never needs them.
#[derive(Default)]
pub struct ReadAhead {
    queue: Mutex<Queue>,
    some: Condvar,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    threads: usize,
    idle: usize,
}

impl ReadAhead {
    /// Reads a range and calls `done` on the thread that did; an error when the system has no room for a thread.
    pub fn submit(
        self: &Arc<Self>,
        range: ColdRange,
        done: impl FnOnce(Result<u64, SendError>) + Send + 'static,
    ) -> io::Result<()> {
        let mut queue = self.queue.lock().expect("never held across a panic");
        if queue.idle == 0 && queue.threads < THREADS {
            let name = format!("varve-read-{}", queue.threads);
            let own = self.clone();
            match thread::Builder::new().name(name).spawn(move || own.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => return Err(error),
                // Those that are there do the work.
                Err(_) => {}
            }
        }
        queue.tasks.push_back(Box::new(move |scratch| {
            let read = catch_unwind(AssertUnwindSafe(|| range.read(scratch)));
            // A defect; the panic has said more on standard error.
            done(read.map_or(Err(SendError::Socket(libc::EIO)), |read| read.map_err(SendError::Log)));
        }));
        self.some.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut scratch = vec![0; SCRATCH_BYTES];
        loop {
            let mut queue = self.queue.lock().expect("never held across a panic");
            let task = loop {
                if let Some(task) = queue.tasks.pop_front() {
                    break task;
                }
                queue.idle += 1;
                queue = self.some.wait(queue).expect("never held across a panic");
                queue.idle -= 1;
            };
            drop(queue);
            task(&mut scratch);
        }
    }
}

impl ColdRange {
    /// Waits until the range is in memory, and has the disk begin with what follows while this is being sent.
    fn read(&self, scratch: &mut [u8]) -> Result<u64, LogError> {
        self.advise();
        let end = self.at + self.bytes;
        let mut at = self.at;
        while at < end {
            let wanted = scratch.len().min((end - at) as usize);
            at += self.slice.read(&mut scratch[..wanted], at, Access::Blocking)? as u64;
        }
        Ok(self.bytes)
    }

    fn advise(&self) {
        let Some(file) = self.slice.file().and_then(|file| file.descriptor()) else { return };
        let offset = (self.slice.position + self.at) as libc::off_t;
        let bytes = (self.slice.bytes - self.at).min(2 * WINDOW_BYTES) as libc::off_t;
        // Advice: where it is not taken the read below waits longer.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, bytes, libc::POSIX_FADV_WILLNEED) };
    }
}
