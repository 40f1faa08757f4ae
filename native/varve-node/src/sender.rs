//! Sends ranges of segment files to sockets without reading them: `sendfile` from one thread for the process, so that no
//! event loop waits for a disk or copies a byte. The thread drives all connections in turn, as epoll says that they take
//! something; what is not in memory is read ahead by other threads first.

mod connection;
mod job;
mod read_ahead;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Instant;

pub use connection::{Connection, Tell};
pub use job::Job;
use job::{ColdRange, SendError, Stop};
use read_ahead::ReadAhead;

/// What a connection may send before it is the next one's turn.
const BUDGET_BYTES: u64 = 4 << 20;
const EVENTS: usize = 256;
/// The token of the descriptor that wakes the thread.
const WAKE: u64 = 0;
const NEVER: u64 = u64::MAX;

/// A job went out whole.
const SENT: i32 = 0;
/// A job failed for the log's sake; the connection knows the error.
const LOG_FAILED: i32 = -1;

/// All connections of the process and the thread that serves them.
pub struct Sender {
    epoll: OwnedFd,
    wake: OwnedFd,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next_token: AtomicU64,
    started: Instant,
    /// When the thread looks for connections whose peers take nothing; in ms since `started`.
    next_check: AtomicU64,
    read_ahead: Arc<ReadAhead>,
    /// Closed while the thread was at their jobs, which it still has to drop.
    closing: Mutex<Vec<Arc<Connection>>>,
}

/// The ends of jobs of one round, which each event loop is told of in one call.
#[derive(Default)]
struct Round(Vec<(Arc<Tell>, Vec<f64>)>);

impl Round {
    fn end(&mut self, tell: &Arc<Tell>, id: f64, status: i32) {
        let pair = [id, f64::from(status)];
        match self.0.iter_mut().find(|(other, _)| Arc::ptr_eq(other, tell)) {
            Some((_, ends)) => ends.extend(pair),
            None => self.0.push((tell.clone(), pair.to_vec())),
        }
    }

    fn tell(self) {
        for (tell, ends) in self.0 {
            tell(ends);
        }
    }
}

impl Sender {
    /// The sender of the process, started when first asked for.
    pub fn shared() -> io::Result<Arc<Self>> {
        static SENDER: OnceLock<Arc<Sender>> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().expect("never held across a panic");
        if let Some(sender) = SENDER.get() {
            return Ok(sender.clone());
        }
        let sender = Arc::new(Self::new()?);
        let own = sender.clone();
        thread::Builder::new().name("varve-send".into()).spawn(move || own.run())?;
        Ok(SENDER.get_or_init(|| sender).clone())
    }

    fn new() -> io::Result<Self> {
        let sender = Self {
            epoll: owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?,
            wake: owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?,
            connections: Mutex::default(),
            next_token: AtomicU64::new(WAKE + 1),
            started: Instant::now(),
            next_check: AtomicU64::new(NEVER),
            read_ahead: Arc::default(),
            closing: Mutex::default(),
        };
        sender.control(libc::EPOLL_CTL_ADD, sender.wake.as_raw_fd(), libc::EPOLLIN, WAKE)?;
        Ok(sender)
    }

    /// A connection on a socket; see [`Connection::on`].
    pub fn connect(&self, fd: i32, tell: Arc<Tell>) -> Option<Arc<Connection>> {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::on(fd, token, tell)?);
        self.connections().insert(token, connection.clone());
        Some(connection)
    }

    /// Begins a job on a connection that has none. A peer that takes nothing for `patience` ms ends it.
    pub fn begin(&self, connection: &Connection, job: Job, patience: u64) -> io::Result<()> {
        let mut state = connection.state();
        if state.job.is_some() || connection.is_closed() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        connection.note_left(job.left);
        state.job = Some(job);
        state.progress.begin(patience, self.now());
        self.await_writable(connection, &mut state)
    }

    /// Ends a connection and drops its job, which nobody is told of. Does not wait for the thread if that is at it right
    /// now: it then meets a socket that takes nothing.
    pub fn close(&self, connection: Arc<Connection>) {
        connection.close();
        // Without this the registration would stay as long as the socket's other descriptor does.
        let _ = self.control(libc::EPOLL_CTL_DEL, connection.socket().as_raw_fd(), 0, 0);
        self.connections().remove(&connection.token);
        if !connection.try_drop_job() {
            self.closing.lock().expect("never held across a panic").push(connection);
            self.wake();
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.connections.lock().expect("never held across a panic")
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn control(&self, operation: i32, fd: i32, events: i32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Has the thread drive the connection when its socket takes something, and look now and then whether it does.
    fn await_writable(&self, connection: &Connection, state: &mut connection::State) -> io::Result<()> {
        let operation = if state.registered { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        let events = libc::EPOLLOUT | libc::EPOLLONESHOT;
        self.control(operation, connection.socket().as_raw_fd(), events, connection.token)?;
        state.registered = true;
        // A thread that would sleep beyond that must be woken to know of it.
        let next_look = state.progress.next_look;
        if self.next_check.fetch_min(next_look, Ordering::SeqCst) > next_look {
            self.wake();
        }
        Ok(())
    }

    fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        unsafe { libc::write(self.wake.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn run(self: Arc<Self>) {
        block_signals();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            let ready = unsafe {
                let (epoll, most) = (self.epoll.as_raw_fd(), EVENTS as libc::c_int);
                libc::epoll_wait(epoll, events.as_mut_ptr(), most, self.timeout())
            };
            let mut round = Round::default();
            // -1 is a signal's doing: there is nothing ready.
            for event in events.iter().take(ready.max(0) as usize) {
                match event.u64 {
                    WAKE => self.woken(),
                    token => self.drive(token, &mut round),
                }
            }
            self.end_stalled(&mut round);
            round.tell();
        }
    }

    fn woken(&self) {
        let mut count = [0u8; 8];
        unsafe { libc::read(self.wake.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        let closing = std::mem::take(&mut *self.closing.lock().expect("never held across a panic"));
        for connection in closing {
            connection.state().job = None;
        }
    }

    fn timeout(&self) -> i32 {
        match self.next_check.load(Ordering::SeqCst) {
            NEVER => -1,
            at => at.saturating_sub(self.now()).min(i32::MAX as u64) as i32,
        }
    }

    fn drive(self: &Arc<Self>, token: u64, round: &mut Round) {
        let Some(connection) = self.connections().get(&token).cloned() else { return };
        let mut guard = connection.state();
        let state = &mut *guard;
        let Some(job) = state.job.as_mut().filter(|_| !state.reading) else { return };
        let before = job.left;
        let driven = catch_unwind(AssertUnwindSafe(|| job.drive(connection.socket(), BUDGET_BYTES)));
        connection.note_left(job.left);
        if job.left < before {
            state.progress.made(self.now());
        }
        let end = match driven {
            Ok(Stop::Sent) => Ok(()),
            Ok(Stop::Full | Stop::Budget) => match self.await_writable(&connection, state) {
                Ok(()) => return,
                Err(error) => Err(error.into()),
            },
            Ok(Stop::Cold(range)) => {
                state.reading = true;
                self.warm(&connection, range);
                return;
            }
            Ok(Stop::Failed(error)) => Err(error),
            Err(_) => Err(SendError::Socket(libc::EIO)),
        };
        self.end(&connection, state, end, round);
    }

    /// Has a cold range read, and goes on with the job when it is.
    fn warm(self: &Arc<Self>, connection: &Arc<Connection>, range: ColdRange) {
        let (sender, connection) = (self.clone(), connection.clone());
        self.read_ahead.clone().submit(range, move |read| {
            let mut state = connection.state();
            state.reading = false;
            if connection.is_closed() {
                state.job = None;
                return;
            }
            let Some(job) = state.job.as_mut() else { return };
            let result = match read {
                Ok(bytes) => {
                    job.warmed(bytes);
                    state.progress.made(sender.now());
                    sender.await_writable(&connection, &mut state).map_err(SendError::from)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                let mut round = Round::default();
                sender.end(&connection, &mut state, Err(error), &mut round);
                drop(state);
                round.tell();
            }
        });
    }

    fn end(
        &self,
        connection: &Connection,
        state: &mut connection::State,
        result: Result<(), SendError>,
        round: &mut Round,
    ) {
        let Some(job) = state.job.take() else { return };
        connection.note_left(0);
        // Its owner has closed it and waits for nothing.
        if connection.is_closed() {
            return;
        }
        let status = match result {
            Ok(()) => SENT,
            Err(SendError::Socket(errno)) => errno,
            Err(SendError::Log(error)) => {
                state.failure = Some(error);
                LOG_FAILED
            }
        };
        round.end(&connection.tell, job.id, status);
    }

    /// Ends the jobs whose peers have taken nothing for too long.
    fn end_stalled(&self, round: &mut Round) {
        let now = self.now();
        if now < self.next_check.load(Ordering::SeqCst) {
            return;
        }
        self.next_check.store(NEVER, Ordering::SeqCst);
        let connections: Vec<_> = self.connections().values().cloned().collect();
        for connection in connections {
            let mut state = connection.state();
            if state.job.is_none() || state.reading {
                continue;
            }
            let due = state.progress.next_look <= now;
            if due && state.progress.is_over(connection.queued(), now) {
                let stalled = Err(SendError::Socket(libc::ETIMEDOUT));
                self.end(&connection, &mut state, stalled, round);
            } else {
                self.next_check.fetch_min(state.progress.next_look, Ordering::SeqCst);
            }
        }
    }
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

/// `sendfile` to a socket whose peer is gone raises SIGPIPE and has no flag against it. Node ignores that signal, other
/// embedders may not; and all others belong to the process's own threads.
fn block_signals() {
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
