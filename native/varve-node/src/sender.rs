//! Sends ranges of segment files to sockets without reading them: `sendfile` from threads of their own, a few for the
//! process, so that no event loop waits for a disk or copies a byte. They drive all connections in turn, as epoll says that
//! they take something; what is not in memory is read ahead by other threads first. A little that is in memory is sent by
//! the event loop itself, for which that is less work than to wake a thread and to be woken.

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

use connection::{Arming, State};
pub use connection::{Connection, Tell};
pub use job::Job;
use job::{ColdRange, SendError, Stop};
use read_ahead::ReadAhead;

/// What a connection may send before it is the next one's turn.
const BUDGET_BYTES: u64 = 4 << 20;
/// A job of no more than this is begun, and mostly done, by whoever hands it in.
const AT_ONCE_BYTES: u64 = 256 << 10;
/// As many as Kafka has network threads by default, where there are processors for them: one can send about 3 GB/s.
const MOST_THREADS: usize = 3;
/// What a thread takes at once. A few, so that the others have something to do as well.
const EVENTS: usize = 4;
/// The token of the descriptor that wakes a thread.
const WAKE: u64 = 0;
const NEVER: u64 = u64::MAX;

/// A job went out whole.
const SENT: i32 = 0;
/// A job failed for the log's sake; the connection knows the error.
const LOG_FAILED: i32 = -1;

/// All connections of the process, which the threads serve together: epoll hands a connection to one of them at a time.
pub struct Sender {
    epoll: OwnedFd,
    wake: OwnedFd,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next_token: AtomicU64,
    started: Instant,
    /// When a thread looks for connections whose peers take nothing; in ms since `started`.
    next_check: AtomicU64,
    read_ahead: Arc<ReadAhead>,
    /// Closed while a thread was at their jobs, which still have to be dropped.
    closing: Mutex<Vec<Arc<Connection>>>,
}

/// The ends of jobs of one round, which each event loop is told of in one call.
#[derive(Default)]
struct Round(Vec<(Arc<Tell>, Vec<f64>)>);

impl Round {
    fn note(&mut self, connection: &Connection, end: Option<(f64, i32)>) {
        let Some((id, status)) = end else { return };
        let pair = [id, f64::from(status)];
        match self.0.iter_mut().find(|(tell, _)| Arc::ptr_eq(tell, &connection.tell)) {
            Some((_, ends)) => ends.extend(pair),
            None => self.0.push((connection.tell.clone(), pair.to_vec())),
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
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for n in 0..processors.min(MOST_THREADS) {
            let own = sender.clone();
            match thread::Builder::new().name(format!("varve-send-{n}")).spawn(move || own.run()) {
                Ok(_) => {}
                Err(error) if n == 0 => return Err(error),
                // Fewer are slower, and that is all.
                Err(_) => break,
            }
        }
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

    /// Begins a job on a connection that has none, and returns its status if it ended at once. A peer that takes nothing for
    /// `patience` ms ends it.
    pub fn begin(self: &Arc<Self>, connection: &Arc<Connection>, job: Job, patience: u64) -> Option<i32> {
        let mut state = connection.state();
        if state.job.is_some() || connection.is_closed() {
            return Some(libc::EBUSY);
        }
        let is_small = job.left <= AT_ONCE_BYTES;
        connection.note_left(job.left);
        state.job = Some(job);
        state.progress.begin(patience, self.now());
        let end = if is_small {
            self.go_on(connection, &mut state, AT_ONCE_BYTES)?
        } else {
            let arming = state.arming();
            // A thread would run into the lock at once.
            drop(state);
            let armed = self.arm(connection, arming);
            state = connection.state();
            Err(armed.err()?.into())
        };
        end_job(connection, &mut state, end).map(|(_, status)| status)
    }

    /// Ends a connection and drops its job, which nobody is told of. Does not wait for a thread that is at it right
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

    /// Has a thread go on with the connection when its socket takes something, and look now and then whether it does.
    fn arm(&self, connection: &Connection, arming: Arming) -> io::Result<()> {
        let operation = if arming.is_first { libc::EPOLL_CTL_ADD } else { libc::EPOLL_CTL_MOD };
        let events = libc::EPOLLOUT | libc::EPOLLONESHOT;
        self.control(operation, connection.socket().as_raw_fd(), events, connection.token)?;
        // Threads that would all sleep beyond that must be woken to know of it.
        if self.next_check.fetch_min(arming.next_look, Ordering::SeqCst) > arming.next_look {
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
        let mut state = connection.state();
        if state.reading {
            return;
        }
        if let Some(end) = self.go_on(&connection, &mut state, BUDGET_BYTES) {
            round.note(&connection, end_job(&connection, &mut state, end));
        }
    }

    /// Sends what can be sent now and returns how the job ended, if it has; else its socket, or the disk, is waited for.
    fn go_on(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        state: &mut State,
        budget: u64,
    ) -> Option<Result<(), SendError>> {
        let job = state.job.as_mut()?;
        let before = job.left;
        let driven = catch_unwind(AssertUnwindSafe(|| job.drive(connection.socket(), budget)));
        connection.note_left(job.left);
        if job.left < before {
            state.progress.made(self.now());
        }
        match driven {
            Ok(Stop::Sent) => Some(Ok(())),
            Ok(Stop::Failed(error)) => Some(Err(error)),
            Ok(Stop::Full | Stop::Budget) => {
                let armed = self.arm(connection, state.arming());
                armed.err().map(|error| Err(error.into()))
            }
            Ok(Stop::Cold(range)) => {
                let reads = self.warm(connection, range);
                state.reading = reads.is_ok();
                reads.err().map(|error| Err(error.into()))
            }
            // A defect; the panic has said more on standard error.
            Err(_) => Some(Err(SendError::Socket(libc::EIO))),
        }
    }

    /// Has a cold range read, and goes on with the job when it is.
    fn warm(self: &Arc<Self>, connection: &Arc<Connection>, range: ColdRange) -> io::Result<()> {
        let (sender, connection) = (self.clone(), connection.clone());
        self.read_ahead.clone().submit(range, move |read| {
            let mut guard = connection.state();
            let state = &mut *guard;
            state.reading = false;
            if connection.is_closed() {
                state.job = None;
                return;
            }
            let armed = read.and_then(|bytes| {
                if let Some(job) = &mut state.job {
                    job.warmed(bytes);
                }
                state.progress.made(sender.now());
                Ok(sender.arm(&connection, state.arming())?)
            });
            if let Err(error) = armed {
                let mut round = Round::default();
                round.note(&connection, end_job(&connection, state, Err(error)));
                drop(guard);
                round.tell();
            }
        })
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
                round.note(&connection, end_job(&connection, &mut state, stalled));
            } else {
                self.next_check.fetch_min(state.progress.next_look, Ordering::SeqCst);
            }
        }
    }
}

/// Takes the job from a connection and returns its id and status; nothing when its owner has closed it and waits for none.
fn end_job(connection: &Connection, state: &mut State, result: Result<(), SendError>) -> Option<(f64, i32)> {
    let job = state.job.take()?;
    connection.note_left(0);
    if connection.is_closed() {
        return None;
    }
    let status = match result {
        Ok(()) => SENT,
        Err(SendError::Socket(errno)) => errno,
        Err(SendError::Log(error)) => {
            state.failure = Some(error);
            LOG_FAILED
        }
    };
    Some((job.id, status))
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
