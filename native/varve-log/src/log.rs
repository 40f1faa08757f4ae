//! A log: its state, its jobs and its way from open to closed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::data_dir::{DataDir, Hold};
use crate::disk_space::Space;
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::leader_epochs::LeaderEpochs;
use crate::log_config::{Durability, LogConfig};
use crate::maintenance::{Maintenance, Told};
use crate::preallocation::Allocation;
use crate::preparation::Preparation;
use crate::producer_state_manager::ProducerStateManager;
use crate::recovery::Recovered;
use crate::runner::{Job, Outcome, Runner, Work};
use crate::segment::Segment;
use crate::slice::Cursor;
use crate::stats::Stats;
use crate::sync::{Condvar, Mutex, MutexGuard, RwLock};

/// What a log can do now.
#[derive(Clone, Debug)]
pub enum Phase {
    Open,
    /// The next segment is being prepared; appends wait for it.
    Rolling,
    /// Zeros are being written ahead of the end; appends wait for them.
    Allocating,
    /// The disk is slow, or the file was closed, and batches are being written by a job; appends wait for it.
    Writing,
    /// The end is being cut off; appends wait for it.
    Truncating,
    /// A batch is being looked at, or compressed, by a job; appends wait for it.
    Preparing,
    /// A write or an fsync failed, or durable bytes are corrupt: only reads.
    Failed(LogError),
    /// It was opened so: nothing of it may change.
    ReadOnly,
    Closing,
    Closed,
}

impl Phase {
    /// Whether appends are taken, now or after what they wait for.
    pub fn takes_writes(&self) -> bool {
        matches!(self, Self::Open) || self.keeps_waiting()
    }

    /// Whether appends wait for a job to end.
    pub fn keeps_waiting(&self) -> bool {
        matches!(self, Self::Rolling | Self::Allocating | Self::Writing | Self::Truncating | Self::Preparing)
    }
}

/// Told after every change that somebody may wait for: more is durable, the log rolled, failed or closed. Holds no
/// lock of the log, on any thread. An append under [`Durability::Os`] is no such change: who made it knows.
pub type Listener = Box<dyn Fn(&Log) + Send + Sync>;

pub struct Log {
    pub dir: PathBuf,
    /// Changed under the lock of the state.
    pub(crate) config: RwLock<Arc<LogConfig>>,
    pub recovered: Option<Recovered>,
    pub(crate) directory: Arc<DataDir>,
    pub(crate) name: String,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) listener: Listener,
    pub(crate) state: Mutex<State>,
    pub(crate) cursors: Mutex<VecDeque<Cursor>>,
    pub(crate) stats: Stats,
    /// Whether an fsync of the directory has failed; held by whoever makes one.
    pub(crate) names_failed: Mutex<bool>,
    pub(crate) idle: Condvar,
}

pub struct State {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The first offset that readers may ask for; the first segment may start before it.
    pub(crate) start_offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) epochs: LeaderEpochs,
    /// Since the last checkpoint.
    pub(crate) epochs_changed: bool,
    pub(crate) producers: ProducerStateManager,
    /// Of the snapshots of them that there are, the offsets, ascending.
    pub(crate) snapshots: Vec<i64>,
    /// Where somebody else decides what is safe, what he has told last.
    pub(crate) high_watermark: Option<i64>,
    pub(crate) phase: Phase,
    /// Everything below is on disk for good.
    pub(crate) flushed: Mark,
    /// What readers saw when [`Durability::Fsync`] came into force, on disk or not: it is not hidden from them again.
    pub(crate) seen: Mark,
    /// What was written and is not durable yet: where each write ended, and when it was given to the log.
    pub(crate) unacknowledged: VecDeque<(i64, Duration)>,
    pub(crate) flush_wanted: i64,
    pub(crate) flush_running: bool,
    /// The first segment that may hold bytes, or indexes, that were not flushed.
    pub(crate) unflushed_base: i64,
    pub(crate) names_dirty: bool,
    pub(crate) recovery_point: i64,
    /// The end when the log was opened, the files being complete then; `None` once something behind it was cut off.
    pub(crate) opened_at: Option<i64>,
    pub(crate) maintenance: Maintenance,
    /// Sealed segments that were read lately, by base offset; the indexes of others are not kept in memory.
    pub(crate) indexed: VecDeque<i64>,
    /// Counts the changes of files under the feet of readers: what one of them found before is no longer sure.
    pub(crate) generation: u64,
    /// The end offset of every truncation so far.
    pub(crate) truncations: Vec<i64>,
    /// When the log wants to be woken, of what it has asked the runner for.
    pub(crate) wake_at: Option<Duration>,
    /// When the oldest byte that was not flushed is due to be.
    pub(crate) flush_due: Option<Duration>,
    pub(crate) retention_due: Option<Duration>,
    pub(crate) compaction_due: Option<Duration>,
    /// When it is looked for producers to forget; not while there are none.
    pub(crate) producers_due: Option<Duration>,
    /// Why the last compaction came to nothing.
    pub(crate) compaction_failure: Option<LogError>,
    pub(crate) space: Space,
    /// When the disk is to be looked at again.
    pub(crate) space_due: Option<Duration>,
    pub(crate) allocation: Allocation,
    pub(crate) preparation: Option<Preparation>,
    pub(crate) checkpointing: bool,
    pub(crate) checkpoint_due: bool,
    /// Since the last checkpoint; the sealed segments before the active one are not counted, they make one due.
    pub(crate) flushed_bytes: u64,
    pub(crate) checkpointed_at: u64,
    pub(crate) jobs: u32,
    /// Keeps others from opening the log.
    pub(crate) hold: Option<Hold>,
}

impl State {
    pub(crate) fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log has a segment")
    }

    /// Whether the files are as they were opened, and so complete: a directory of many idle logs closes at once.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.opened_at == Some(self.end_offset)
            && !self.names_dirty
            && !self.epochs_changed
            && self.unflushed_base == self.active().base_offset
    }

    /// Lets go of the directory and of every open file, whoever still holds the log.
    pub(crate) fn end(&mut self) {
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
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the log's lock is never held across a panic")
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.state().start_offset
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
        match self.config().durability {
            Durability::Os => state.end_mark(),
            Durability::Fsync if state.flushed.offset < state.seen.offset => state.seen,
            Durability::Fsync => state.flushed,
        }
    }

    /// How often the log was truncated since it was opened. What was appended before the latest of them was durable
    /// before it was cut off, if it was.
    pub fn truncations(&self) -> usize {
        self.state().truncations.len()
    }

    /// The lowest offset at which the log has ended since there were `seen` truncations; `None` when there was no other.
    pub fn lowest_end_since(&self, seen: usize) -> Option<i64> {
        self.state().truncations.get(seen..)?.iter().min().copied()
    }

    /// Why the last compaction came to nothing, if it did. The log is as it was before it.
    pub fn compaction_failure(&self) -> Option<LogError> {
        self.state().compaction_failure.clone()
    }

    pub fn phase(&self) -> Phase {
        let state = self.state();
        match (&state.phase, &state.preparation) {
            (Phase::Open, Some(Preparation::UnderWay)) => Phase::Preparing,
            (phase, _) => phase.clone(),
        }
    }

    pub(crate) fn refusal(&self, phase: &Phase) -> LogError {
        match phase {
            Phase::Failed(error) => error.clone(),
            Phase::ReadOnly => LogError::ReadOnly { dir: self.dir.clone() },
            _ => LogError::Closed { dir: self.dir.clone() },
        }
    }

    pub(crate) fn failed(&self, cause: LogError) -> LogError {
        LogError::Failed { dir: self.dir.clone(), cause: Arc::new(cause) }
    }

    /// Asks for everything written so far to be flushed; it is when [`Log::flushed_offset`] reaches the answer.
    pub fn request_flush(self: &Arc<Self>) -> Result<i64> {
        let mut state = self.state();
        if !state.phase.takes_writes() {
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
        if state.phase.takes_writes() || matches!(state.phase, Phase::ReadOnly) {
            state.phase = Phase::Failed(error);
        }
        drop(state);
        (self.listener)(self);
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

    /// Makes the names of the log's files durable. After a failure no later call may say so: what it would find clean
    /// may never have reached the disk.
    pub(crate) fn sync_names(&self) -> Result<()> {
        let mut failed = self.names_failed.lock().expect("never held across a panic");
        let synced = match *failed {
            true => Err(std::io::Error::other("an fsync of it failed before")),
            false => self.directory.storage.sync_dir(&self.dir),
        };
        *failed = synced.is_err();
        synced.map_err(LogError::io("fsync", &self.dir))
    }

    /// Prepares the files of the next segment, while nothing is appended.
    pub(crate) fn create_segment(&self, base_offset: i64) -> Result<Segment> {
        let active = self.state().active().clone();
        // What is prepared behind the last batch would seem to be the log's end.
        active.trim()?;
        // A recovery may start with the new segment, and the one before counts as without aborts if its file is missing.
        if active.write_aborted()? {
            self.sync_names()?;
        }
        self.write_snapshot(base_offset)?;
        Segment::create(&self.directory.storage, &self.dir, base_offset)
    }

    /// Takes the outcome of a job.
    pub(crate) fn take(self: &Arc<Self>, outcome: Outcome) {
        let now_seconds = self.runner.now().as_secs();
        let (mut maintained, mut told) = (None, Told::default());
        let mut state = self.state();
        let result = match outcome {
            Outcome::Flushed(plan, Ok(())) => {
                let before = state.flushed.offset;
                state.flushed(&plan, now_seconds);
                self.count_acknowledged(&mut state);
                self.stats.became_durable(state.flushed.offset - before);
                if self.config().durability == Durability::Fsync {
                    state.flush_wanted = state.end_offset;
                }
                state.end_roll();
                Ok(())
            }
            Outcome::Flushed(_, Err(error)) => Err(error),
            Outcome::Prepared(Ok(segment)) => {
                state.segments.push(Arc::new(segment));
                state.names_dirty = true;
                self.stats.rolled();
                state.end_roll();
                Ok(())
            }
            Outcome::Prepared(Err(error)) => Err(error),
            Outcome::Written(write, Ok(time)) => {
                self.wrote(&mut state, write.group, time);
                if matches!(state.phase, Phase::Writing) {
                    state.phase = Phase::Open;
                }
                match self.config().durability {
                    Durability::Fsync => state.flush_wanted = state.end_offset,
                    Durability::Os => self.want_flush_in_time(&mut state),
                }
                Ok(())
            }
            Outcome::Written(_, Err(error)) => Err(error),
            Outcome::Allocated(plan, done) => {
                state.allocation.allocated(&plan, done);
                if matches!(state.phase, Phase::Allocating) {
                    state.phase = Phase::Open;
                }
                Ok(())
            }
            Outcome::Measured(Ok(free)) => {
                self.measured(&mut state, free);
                Ok(())
            }
            Outcome::Measured(Err(error)) => Err(error),
            Outcome::BatchPrepared(preparation) => {
                state.preparation = Some(preparation);
                Ok(())
            }
            Outcome::Checkpointed(checkpoint, result) => {
                state.checkpointing = false;
                if result.is_ok() {
                    state.recovery_point = state.recovery_point.max(checkpoint.offset);
                    state.end_roll();
                }
                result
            }
            Outcome::Maintained(Ok(done)) => {
                maintained = self.advance_maintenance(&mut state, done, &mut told);
                Ok(())
            }
            Outcome::Maintained(Err(error)) => {
                self.fail_maintenance(&mut state, &error, &mut told);
                Err(error)
            }
        };
        if let Err(cause) = result
            && state.phase.takes_writes()
        {
            state.phase = Phase::Failed(self.failed(cause));
        }
        let work = [
            maintained,
            state.plan_checkpoint(now_seconds),
            self.plan_maintenance(&mut state, &mut told),
            state.plan_flush(),
        ];
        state.jobs -= 1;
        self.hand_out(state, work.into_iter().flatten());
        self.idle.notify_all();
        told.tell();
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
