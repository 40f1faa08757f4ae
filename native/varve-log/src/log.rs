//! A log: its state, its jobs and its way from open to closed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use varve_records::BatchValidation;

use crate::data_dir::{DataDir, Hold};
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::recovery::{Opening, Recovered};
use crate::runner::{Job, Outcome, Runner, Work};
use crate::segment::Segment;
use crate::slice::Cursor;

/// When an append may be acknowledged, and what a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Written to the page cache: survives the process, not the power.
    Os,
    /// Covered by an fsync.
    Fsync,
}

#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    pub durability: Durability,
    /// A segment is rolled before it grows beyond this, or beyond 2^31 - 1: index positions are `int32`.
    pub segment_bytes: u64,
    pub index_interval_bytes: u64,
    pub max_batch_bytes: u64,
    /// How closely a batch is looked at before it is stored.
    pub batch_validation: BatchValidation,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes: 1 << 30,
            index_interval_bytes: 4096,
            max_batch_bytes: (1 << 20) + 12,
            batch_validation: BatchValidation::Full,
        }
    }
}

/// What a log can do now.
#[derive(Clone, Debug)]
pub enum Phase {
    Open,
    /// The next segment is being prepared; appends wait for it.
    Rolling,
    /// A write or an fsync failed, or durable bytes are corrupt: only reads.
    Failed(LogError),
    Closing,
    Closed,
}

/// Told after every change that somebody may wait for: more is durable, the log rolled, failed or closed. Holds no
/// lock of the log, on any thread. An append under [`Durability::Os`] is no such change: who made it knows.
pub type Listener = Box<dyn Fn(&Log) + Send + Sync>;

pub struct Log {
    pub dir: PathBuf,
    pub config: LogConfig,
    pub recovered: Option<Recovered>,
    pub(crate) directory: Arc<DataDir>,
    name: String,
    runner: Arc<dyn Runner>,
    pub(crate) listener: Listener,
    state: Mutex<State>,
    pub(crate) cursors: Mutex<VecDeque<Cursor>>,
    idle: Condvar,
}

pub struct State {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) end_offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) phase: Phase,
    /// Everything below is on disk for good.
    pub(crate) flushed: Mark,
    pub(crate) flush_wanted: i64,
    pub(crate) flush_running: bool,
    /// The first segment that may hold bytes, or indexes, that were not flushed.
    pub(crate) unflushed_base: i64,
    pub(crate) names_dirty: bool,
    pub(crate) recovery_point: i64,
    /// The end when the log was opened; the files were complete then.
    opened_at: i64,
    pub(crate) checkpointing: bool,
    pub(crate) checkpoint_due: bool,
    /// Since the last checkpoint; the sealed segments before the active one are not counted, they make one due.
    pub(crate) flushed_bytes: u64,
    pub(crate) checkpointed_at: u64,
    jobs: u32,
    /// Keeps others from opening the log.
    hold: Option<Hold>,
}

impl State {
    pub(crate) fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log has a segment")
    }

    /// Whether the files are as they were opened, and so complete: a directory of many idle logs closes at once.
    fn is_unchanged(&self) -> bool {
        self.end_offset == self.opened_at
            && !self.names_dirty
            && self.unflushed_base == self.active().base_offset
    }

    /// Lets go of the directory and of every open file, whoever still holds the log.
    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.hold = None;
        for segment in &mut self.segments {
            *segment = Arc::new(segment.unopened());
        }
    }

    pub(crate) fn end_mark(&self) -> Mark {
        let active = self.active();
        Mark { offset: self.end_offset, segment_base: active.base_offset, position: active.bytes() }
    }
}

impl Log {
    /// Opens or creates the log `name` of a data directory, recovering it if need be. Waits for the disk.
    pub fn open(
        directory: Arc<DataDir>,
        name: &str,
        config: LogConfig,
        runner: Arc<dyn Runner>,
        listener: Listener,
    ) -> Result<Arc<Self>> {
        let (hold, recovery_point, clean) = directory.log_opens(name)?;
        let dir = directory.log_dir(name);
        let storage = directory.storage.clone();
        let config = LogConfig { segment_bytes: config.segment_bytes.min(i32::MAX as u64), ..config };
        let index_interval_bytes = config.index_interval_bytes;
        let opened =
            Opening { storage: &storage, dir: &dir, recovery_point, clean, index_interval_bytes }.run()?;
        if opened.corrupt.is_none() {
            directory.checkpoint(name, opened.end_offset)?;
        }
        let active = opened.segments.last().expect("a log has a segment");
        let end =
            Mark { offset: opened.end_offset, segment_base: active.base_offset, position: active.bytes() };
        let state = State {
            flushed: end,
            flush_wanted: end.offset,
            flush_running: false,
            unflushed_base: active.base_offset,
            names_dirty: false,
            recovery_point: end.offset,
            opened_at: end.offset,
            checkpointing: false,
            checkpoint_due: false,
            flushed_bytes: 0,
            checkpointed_at: runner.now().as_secs(),
            end_offset: end.offset,
            leader_epoch: 0,
            phase: opened.corrupt.map_or(Phase::Open, Phase::Failed),
            segments: opened.segments,
            jobs: 0,
            hold: Some(hold),
        };
        Ok(Arc::new(Self {
            dir,
            config,
            recovered: opened.recovered,
            directory,
            name: name.to_string(),
            runner,
            listener,
            state: Mutex::new(state),
            cursors: Mutex::default(),
            idle: Condvar::new(),
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the log's lock is never held across a panic")
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.state().segments[0].base_offset
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> i64 {
        self.state().end_offset
    }

    /// Up to where the log's durability holds: the end, or what has been flushed. Readers stop here.
    pub fn durable_offset(&self) -> i64 {
        self.visible(&self.state()).offset
    }

    /// Up to where everything is on disk for good, whatever the durability.
    pub fn flushed_offset(&self) -> i64 {
        self.state().flushed.offset
    }

    pub(crate) fn visible(&self, state: &State) -> Mark {
        match self.config.durability {
            Durability::Os => state.end_mark(),
            Durability::Fsync => state.flushed,
        }
    }

    pub fn phase(&self) -> Phase {
        self.state().phase.clone()
    }

    pub fn leader_epoch(&self) -> i32 {
        self.state().leader_epoch
    }

    /// The epoch that appended batches carry from now on.
    pub fn set_leader_epoch(&self, epoch: i32) {
        self.state().leader_epoch = epoch;
    }

    pub(crate) fn refusal(&self, phase: &Phase) -> LogError {
        match phase {
            Phase::Failed(error) => error.clone(),
            _ => LogError::Closed { dir: self.dir.clone() },
        }
    }

    pub(crate) fn failed(&self, cause: LogError) -> LogError {
        LogError::Failed { dir: self.dir.clone(), cause: Arc::new(cause) }
    }

    /// Asks for everything written so far to be flushed; it is when [`Log::flushed_offset`] reaches the answer.
    pub fn request_flush(self: &Arc<Self>) -> Result<i64> {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Open | Phase::Rolling) {
            return Err(self.refusal(&state.phase));
        }
        let target = state.end_offset;
        state.flush_wanted = target;
        let work = state.plan_flush();
        self.hand_out(state, work);
        Ok(target)
    }

    /// Ends the log's life for writes because durable bytes turned out to be corrupt.
    pub fn report_corrupt(&self, error: LogError) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Open | Phase::Rolling) {
            state.phase = Phase::Failed(error);
        }
        drop(state);
        (self.listener)(self);
    }

    /// Flushes, makes the recovery point durable and closes. Waits for jobs under way, and for the disk.
    pub fn close(&self) -> Result<()> {
        let mut state = self.state();
        while state.jobs > 0 || matches!(state.phase, Phase::Closing) {
            state = self.idle.wait(state).expect("the log's lock is never held across a panic");
        }
        let result = match &state.phase {
            Phase::Closed => return Ok(()),
            Phase::Failed(error) => {
                // A corrupt log lost nothing by closing; a failed one may have, and says so once more.
                let result =
                    if matches!(error, LogError::Failed { .. }) { Err(error.clone()) } else { Ok(()) };
                state.end();
                drop(state);
                result
            }
            Phase::Open | Phase::Rolling | Phase::Closing => {
                state.phase = Phase::Closing;
                let unchanged = state.is_unchanged();
                let plan = state.flush_plan(true);
                let (end_offset, active) = (state.end_offset, state.active().clone());
                drop(state);
                let flush = || {
                    plan.execute(self)?;
                    active.write_indexes()?;
                    self.directory.checkpoint(&self.name, end_offset)
                };
                let result = if unchanged { Ok(()) } else { flush() };
                let mut state = self.state();
                if result.is_ok() {
                    state.flushed = state.end_mark();
                    self.directory.log_closed_cleanly(&self.name);
                }
                state.end();
                result.map_err(|cause| self.failed(cause))
            }
        };
        self.idle.notify_all();
        (self.listener)(self);
        result
    }

    pub(crate) fn hand_out(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        work: impl IntoIterator<Item = Work>,
    ) {
        let jobs: Vec<Job> = work.into_iter().map(|work| Job::new(self.clone(), work)).collect();
        state.jobs += jobs.len() as u32;
        drop(state);
        for job in jobs {
            self.runner.submit(job);
        }
    }

    pub(crate) fn create_segment(&self, base_offset: i64) -> Result<Segment> {
        Segment::create(&self.directory.storage, &self.dir, base_offset)
    }

    pub(crate) fn write_checkpoint(&self, offset: i64) -> Result<()> {
        self.directory.checkpoint(&self.name, offset)
    }

    /// Takes the outcome of a job.
    pub(crate) fn take(self: &Arc<Self>, outcome: Outcome) {
        let now_seconds = self.runner.now().as_secs();
        let mut state = self.state();
        let result = match outcome {
            Outcome::Flushed(plan, Ok(())) => {
                state.flushed(&plan, now_seconds);
                if self.config.durability == Durability::Fsync {
                    state.flush_wanted = state.end_offset;
                }
                Ok(())
            }
            Outcome::Flushed(_, Err(error)) => Err(error),
            Outcome::Prepared(Ok(segment)) => {
                state.segments.push(Arc::new(segment));
                state.names_dirty = true;
                if matches!(state.phase, Phase::Rolling) {
                    state.phase = Phase::Open;
                }
                Ok(())
            }
            Outcome::Prepared(Err(error)) => Err(error),
            Outcome::Checkpointed(offset, result) => {
                state.checkpointing = false;
                if result.is_ok() {
                    state.recovery_point = state.recovery_point.max(offset);
                }
                result
            }
        };
        if let Err(cause) = result
            && matches!(state.phase, Phase::Open | Phase::Rolling)
        {
            state.phase = Phase::Failed(self.failed(cause));
        }
        let work = [state.plan_checkpoint(now_seconds), state.plan_flush()];
        state.jobs -= 1;
        self.hand_out(state, work.into_iter().flatten());
        self.idle.notify_all();
        (self.listener)(self);
    }

    /// A panic in a job is a failure like any other: it must not leave appends waiting for ever.
    pub(crate) fn fail_after_panic(&self) {
        let mut state = self.state();
        let cause = LogError::io("finish a job of", &self.dir)(std::io::Error::other("it panicked"));
        state.phase = Phase::Failed(self.failed(cause));
        state.jobs -= 1;
        drop(state);
        self.idle.notify_all();
        (self.listener)(self);
    }
}
