//! The engine decides, it does not schedule: it hands out jobs, and a [`Runner`] executes them. Threads do so over the
//! disk, a seeded scheduler over the simulation, where every interleaving can be tried.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::Result;
use crate::flush::{Checkpoint, FlushPlan};
use crate::log::Log;
use crate::maintenance::{Step, StepDone};
use crate::preallocation::AllocationPlan;
use crate::preparation::Preparation;
use crate::segment::Segment;
use crate::slow_disk::{ThreadedWrite, WriteTime};
use crate::sync::{Condvar, Mutex, thread};

/// Executes jobs, in any order and on any thread.
pub trait Runner: Send + Sync + 'static {
    fn submit(&self, job: Job);
    /// Calls [`Log::wake`] once `delay` has passed, if the log is still there.
    fn wake_after(&self, delay: Duration, log: Weak<Log>);
    /// Time since some fixed moment; it only rises.
    fn now(&self) -> Duration;
    /// Milliseconds since 1970, as records have them.
    fn wall_clock_ms(&self) -> i64;
    /// How often the calling thread has waited for something other than a processor, if that can be told.
    fn waits(&self) -> Option<u64> {
        None
    }
}

/// Work that waits for the disk and must not happen on an event loop.
pub struct Job {
    log: Arc<Log>,
    work: Work,
    guard: Option<Guard>,
}

/// Dropped once a job's log has been told of what it did, or the job is given up.
type Guard = Box<dyn Any + Send>;

pub(crate) enum Work {
    /// Make what was written durable.
    Flush(FlushPlan),
    /// Create the files of the next segment.
    PrepareSegment { base_offset: i64 },
    /// Look at a batch, or compress it, before it is appended.
    PrepareBatch(Vec<u8>),
    /// Make a recovery point durable.
    Checkpoint(Checkpoint),
    /// Write batches, because the disk is slow or the file is not open.
    Write(ThreadedWrite),
    /// Prepare what appends will write to.
    Allocate(AllocationPlan),
    /// Look how much room the disk has.
    MeasureSpace,
    /// A step of a change that does not happen at the log's end.
    Maintain(Step),
}

/// What a job did, still to be told to its log. Between the two anything else may happen to the log.
pub struct Done {
    log: Arc<Log>,
    outcome: Outcome,
    guard: Option<Guard>,
}

pub(crate) enum Outcome {
    Flushed(FlushPlan, Result<()>),
    Prepared(Result<Segment>),
    BatchPrepared(Preparation),
    Checkpointed(Checkpoint, Result<()>),
    Written(ThreadedWrite, Result<WriteTime>),
    Allocated(AllocationPlan, bool),
    Measured(Result<u64>),
    Maintained(Result<StepDone>),
}

impl Job {
    pub(crate) fn new(log: Arc<Log>, work: Work) -> Self {
        Self { log, work, guard: None }
    }

    /// The job, with something that is dropped when it is over and done with.
    pub(crate) fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// Does the waiting; holds no lock of the log meanwhile.
    pub fn execute(self) -> Done {
        let log = self.log;
        let outcome = match self.work {
            Work::Flush(plan) => {
                let result = plan.execute(&log);
                Outcome::Flushed(plan, result)
            }
            Work::PrepareSegment { base_offset } => Outcome::Prepared(log.create_segment(base_offset)),
            Work::PrepareBatch(offered) => Outcome::BatchPrepared(log.prepare_whole(offered)),
            Work::Checkpoint(checkpoint) => {
                let result = checkpoint.execute(&log);
                Outcome::Checkpointed(checkpoint, result)
            }
            Work::Write(write) => {
                let result = write.execute(&log);
                Outcome::Written(write, result)
            }
            Work::Allocate(plan) => {
                let done = plan.execute();
                Outcome::Allocated(plan, done)
            }
            Work::MeasureSpace => Outcome::Measured(log.measure_space()),
            Work::Maintain(step) => Outcome::Maintained(step.execute(&log)),
        };
        Done { log, outcome, guard: self.guard }
    }
}

impl Done {
    /// Tells the log, which may hand out further jobs.
    pub fn publish(self) {
        self.log.take(self.outcome);
        drop(self.guard);
    }
}

/// A small pool of threads. Flushes of different logs run side by side: fdatasync on separate files scales with
/// threads (measured 4.5 k/s with one, 9.8 k/s with four).
pub struct ThreadRunner {
    queue: Arc<Queue>,
    alarms: Arc<Alarms>,
    started: Instant,
}

struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    some: Condvar,
}

/// Logs to be woken, by when; the number tells apart those of one moment.
#[derive(Default)]
struct Alarms {
    due: Mutex<BTreeMap<(Instant, u64), Weak<Log>>>,
    changed: Condvar,
}

impl ThreadRunner {
    /// Threads end when the runner is dropped and its queue is empty.
    pub fn new(threads: usize) -> Arc<Self> {
        let queue = Arc::new(Queue { jobs: Mutex::new(VecDeque::new()), some: Condvar::new() });
        let alarms = Arc::<Alarms>::default();
        let runner = Arc::new(Self { queue: queue.clone(), alarms: alarms.clone(), started: Instant::now() });
        let weak = Arc::downgrade(&runner);
        thread::Builder::new()
            .name("varve-alarms".into())
            .spawn(move || watch(&alarms, &weak))
            .expect("the system has room for a thread");
        for n in 0..threads {
            let (queue, runner) = (queue.clone(), Arc::downgrade(&runner));
            thread::Builder::new()
                .name(format!("varve-{n}"))
                .spawn(move || work(&queue, &runner))
                .expect("the system has room for a thread");
        }
        runner
    }
}

fn work(queue: &Queue, runner: &Weak<ThreadRunner>) {
    loop {
        let mut jobs = queue.jobs.lock().expect("never held across a panic");
        let job = loop {
            if let Some(job) = jobs.pop_front() {
                break job;
            }
            if runner.strong_count() == 0 {
                return;
            }
            jobs = queue.some.wait(jobs).expect("never held across a panic");
        };
        drop(jobs);
        let log = job.log.clone();
        match catch_unwind(AssertUnwindSafe(|| job.execute())) {
            // A listener that panics must not take the thread with it; what it was told of has happened.
            Ok(done) => drop(catch_unwind(AssertUnwindSafe(|| done.publish()))),
            Err(_) => log.fail_after_panic(),
        }
    }
}

fn watch(alarms: &Alarms, runner: &Weak<ThreadRunner>) {
    let mut due = alarms.due.lock().expect("never held across a panic");
    while runner.strong_count() > 0 {
        let now = Instant::now();
        due = match due.first_key_value().map(|(&(at, _), _)| at) {
            None => alarms.changed.wait(due).expect("never held across a panic"),
            Some(at) if at > now => {
                alarms.changed.wait_timeout(due, at - now).expect("never held across a panic").0
            }
            Some(_) => {
                let (_, log) = due.pop_first().expect("looked at above");
                drop(due);
                if let Some(log) = log.upgrade() {
                    drop(catch_unwind(AssertUnwindSafe(|| log.wake())));
                }
                alarms.due.lock().expect("never held across a panic")
            }
        };
    }
}

impl Runner for ThreadRunner {
    fn submit(&self, job: Job) {
        self.queue.jobs.lock().expect("never held across a panic").push_back(job);
        self.queue.some.notify_one();
    }

    fn wake_after(&self, delay: Duration, log: Weak<Log>) {
        // Beyond what a clock can hold is never.
        let Some(at) = Instant::now().checked_add(delay) else { return };
        let mut due = self.alarms.due.lock().expect("never held across a panic");
        let number = (0..).find(|number| !due.contains_key(&(at, *number))).expect("numbers do not run out");
        due.insert((at, number), log);
        self.alarms.changed.notify_one();
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_clock_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
    }

    #[cfg(target_os = "linux")]
    fn waits(&self) -> Option<u64> {
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let told = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) } == 0;
        told.then_some(usage.ru_nvcsw as u64)
    }
}

impl Drop for ThreadRunner {
    fn drop(&mut self) {
        // Under the lock: a thread between its look at the runner and its wait would miss the call and stay for ever.
        {
            let _jobs = self.queue.jobs.lock();
            self.queue.some.notify_all();
        }
        let _due = self.alarms.due.lock();
        self.alarms.changed.notify_all();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Runner, ThreadRunner};
    use std::time::Duration;

    #[test]
    fn a_thread_that_sleeps_has_waited() {
        let runner = ThreadRunner::new(1);
        let before = runner.waits();
        std::thread::sleep(Duration::from_millis(1));
        assert!(runner.waits() > before, "{before:?}");
    }
}
