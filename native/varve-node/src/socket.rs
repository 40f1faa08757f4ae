use std::sync::{Arc, Mutex, MutexGuard};

use napi::bindgen_prelude::{BufferSlice, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::failure::Failure;
use crate::sender::{Connection, Job, Sender, Tell};
use crate::slice::NativeSlice;

/// What sends files for one event loop.
#[napi]
pub struct NativeSender {
    sender: Arc<Sender>,
    tell: Arc<Tell>,
}

/// A socket's second descriptor. It is closed with this object if not before, be it because its worker was terminated.
#[napi]
pub struct NativeSocket {
    sender: Arc<Sender>,
    /// Let go of at the close, when the collector may not come for this object for long.
    connection: Mutex<Option<Arc<Connection>>>,
    /// What the next job is to send.
    next: Mutex<Job>,
}

/// Starts the sender. `settled` is called with the ends of jobs, pairs of an id and a status in one flat list.
#[napi(catch_unwind)]
pub fn open_sender(settled: Function<'_, Vec<f64>, ()>) -> napi::Result<NativeSender> {
    let settled =
        settled.build_threadsafe_function::<Vec<f64>>().weak::<true>().callee_handled::<false>().build()?;
    let sender = Sender::shared().map_err(|error| napi::Error::from_reason(error.to_string()))?;
    let tell: Tell = Box::new(move |ends| {
        settled.call(ends, ThreadsafeFunctionCallMode::NonBlocking);
    });
    Ok(NativeSender { sender, tell: Arc::new(tell) })
}

#[napi]
impl NativeSender {
    /// Takes a second descriptor of a connected socket; nothing if it is none that can be sent to, or descriptors are
    /// short.
    #[napi(catch_unwind)]
    pub fn connect(&self, fd: i32) -> Option<NativeSocket> {
        let connection = Mutex::new(Some(self.sender.connect(fd, self.tell.clone())?));
        Some(NativeSocket { sender: self.sender.clone(), connection, next: Mutex::new(Job::new()) })
    }
}

impl NativeSocket {
    fn next(&self) -> MutexGuard<'_, Job> {
        self.next.lock().expect("never held across a panic")
    }

    fn connection(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection.lock().expect("never held across a panic")
    }
}

#[napi]
impl NativeSocket {
    /// Adds bytes to the next job. They are copied, so that nothing of JavaScript's memory is looked at later, when its
    /// owner, or the whole worker, may be gone.
    #[napi(catch_unwind)]
    pub fn push_bytes(&self, bytes: BufferSlice<'_>) {
        self.next().push_bytes(&bytes);
    }

    /// Adds a slice to the next job, which keeps its file open. A closed one is refused.
    #[napi(catch_unwind)]
    pub fn push_slice(&self, slice: &NativeSlice) -> bool {
        let Some(pinned) = slice.slice().clone() else { return false };
        slice.log.note_sent(pinned.bytes);
        self.next().push_slice(pinned);
        true
    }

    /// Begins the job; one at a time. `patience` is how many ms the peer may take nothing. Returns the status of a job that
    /// is over already, of which nothing more is heard.
    #[napi(catch_unwind)]
    pub fn begin(&self, id: f64, patience: f64) -> Option<i32> {
        let mut job = std::mem::replace(&mut *self.next(), Job::new());
        job.id = id;
        match &*self.connection() {
            Some(connection) => self.sender.begin(connection, job, patience as u64),
            None => Some(libc::ECANCELED),
        }
    }

    /// While there are bytes of the job that the kernel has not taken: those, and what the peer has not taken from it.
    #[napi(getter, catch_unwind)]
    pub fn unsent_bytes(&self) -> f64 {
        match &*self.connection() {
            Some(connection) if connection.left() > 0 => (connection.left() + connection.queued()) as f64,
            _ => 0.0,
        }
    }

    /// What was wrong with the log when a job ended with the status -1.
    #[napi(catch_unwind)]
    pub fn failure(&self) -> Option<Failure> {
        let connection = self.connection();
        connection.as_ref()?.state().failure.clone().map(Failure::from)
    }

    /// Ends the TCP connection, whoever else has it open, and drops the job, of which nothing is heard any more.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        if let Some(connection) = self.connection().take() {
            self.sender.close(connection);
        }
    }
}

impl Drop for NativeSocket {
    fn drop(&mut self) {
        self.close();
    }
}
