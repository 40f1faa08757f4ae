use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use varve_log::LogError;

use super::job::Job;

/// Descriptors that no connection is given a second of, so that logs can still be opened.
const KEPT_FREE: u64 = 16;

/// Takes the ends of jobs to the event loop that began them: pairs of an id and a status.
pub type Tell = Box<dyn Fn(Vec<f64>) + Send + Sync>;

/// One socket as the sender sees it: a descriptor of its own on the same connection, which must be closed for the
/// connection to end, and at most one job.
pub struct Connection {
    pub token: u64,
    socket: OwnedFd,
    pub tell: Arc<Tell>,
    state: Mutex<State>,
    /// As in the job; read by who watches the progress without waiting for the lock.
    left: AtomicU64,
    closed: AtomicBool,
}

#[derive(Default)]
pub struct State {
    pub job: Option<Job>,
    /// The job waits for the disk, so that the peer is not to blame for taking nothing.
    pub reading: bool,
    /// Whether epoll knows the descriptor.
    registered: bool,
    pub progress: Progress,
    /// What was wrong with the log when the last job failed.
    pub failure: Option<LogError>,
}

/// What it takes to have epoll watch a connection.
pub struct Arming {
    pub is_first: bool,
    pub next_look: u64,
}

impl State {
    pub fn arming(&mut self) -> Arming {
        let is_first = !std::mem::replace(&mut self.registered, true);
        Arming { is_first, next_look: self.progress.next_look }
    }
}

/// Whether the peer takes something: what the kernel takes is not all, as it takes nothing until the peer has taken a good
/// part of what is queued, which can be more than a slow peer takes in its time.
#[derive(Default)]
pub struct Progress {
    /// How many ms the peer may take nothing.
    patience: u64,
    /// When it last did, and when to look for that again; in ms of the sender's clock.
    last: u64,
    pub next_look: u64,
    /// What was queued in the kernel then.
    queued: Option<u64>,
}

impl Progress {
    pub fn begin(&mut self, patience: u64, now: u64) {
        self.patience = patience;
        self.made(now);
    }

    /// The peer has taken something, or had nothing to take.
    pub fn made(&mut self, now: u64) {
        self.last = now;
        self.queued = None;
        self.plan(now);
    }

    /// Looks again, and says whether the peer is to be given up.
    pub fn is_over(&mut self, queued: u64, now: u64) -> bool {
        if self.queued.replace(queued) != Some(queued) {
            self.last = now;
        }
        self.plan(now);
        now - self.last >= self.patience
    }

    fn plan(&mut self, now: u64) {
        self.next_look = now.saturating_add(self.patience.div_ceil(4));
    }
}

impl Connection {
    /// A connection on the socket `fd`, which stays its owner's; none if it is no stream socket that never blocks, or if
    /// descriptors are short.
    pub fn on(fd: i32, token: u64, tell: Arc<Tell>) -> Option<Self> {
        if socket_option(fd, libc::SO_TYPE) != Some(libc::SOCK_STREAM) {
            return None;
        }
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        if flags < 0 || flags & libc::O_NONBLOCK == 0 {
            return None;
        }
        let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
        if copy < 0 {
            return None;
        }
        let socket = unsafe { OwnedFd::from_raw_fd(copy) };
        // The system gives out the lowest that is free.
        if copy as u64 + KEPT_FREE >= descriptor_limit() {
            return None;
        }
        let (state, left, closed) = Default::default();
        Some(Self { token, socket, tell, state, left, closed })
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("never held across a panic")
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Bytes in the kernel that the peer has not taken.
    pub fn queued(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if result == 0 { bytes.max(0) as u64 } else { 0 }
    }

    /// Bytes of the job that the kernel has not taken yet.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    pub fn note_left(&self, left: u64) {
        self.left.store(left, Ordering::Relaxed);
    }

    /// Ends the TCP connection, so that whoever is at its job meets a socket that takes nothing.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
    }

    /// Drops the job if nobody is at it right now, and returns whether that is so.
    pub fn try_drop_job(&self) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        state.job = None;
        true
    }
}

fn socket_option(fd: i32, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &mut length) };
    (result == 0).then_some(value)
}

fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}
