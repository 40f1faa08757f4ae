//! Compaction as the log goes through it: small jobs, between which appends and reads go on, within a budget of bytes
//! per second, until all of it is done or something that matters more comes up.

use std::sync::Arc;
use std::time::Duration;

use crate::batch_reader::Access;
use crate::cleaned_segment::{Committed, take_place};
use crate::cleaner::LastRecord;
use crate::compaction::{Compaction, CompactionPlan, Progress};
use crate::compaction_lag::Lag;
use crate::data_dir::CompactionTurn;
use crate::error::{LogError, Result};
use crate::log::{Log, State};
use crate::offset_map::MAX_KEYS;
use crate::producer_state::ProducerState;
use crate::segment::Segment;

/// What one job reads and writes at most, about: a few milliseconds, after which the threads turn to others.
const STEP_BYTES: u64 = 4 << 20;
/// How many jobs share the bytes of a second, so that they do not come in bursts.
const STEPS_PER_SECOND: u64 = 8;

/// A compaction between two of its jobs.
pub(crate) struct Compacting {
    compaction: Compaction,
    began: Duration,
    /// One of a data directory is under way at a time: each holds a map of many keys.
    _turn: CompactionTurn,
}

pub(crate) enum CompactionStep {
    Begin(Box<CompactionPlan>, CompactionTurn),
    Advance(Box<Compacting>),
    /// The new segment is in the log; its files still have to take the names of those that it replaces.
    TakePlace(Box<Compacting>, Committed, Vec<Arc<Segment>>),
    /// Gives up before the end.
    Discard(Box<Compacting>),
}

pub(crate) enum CompactionDone {
    Paused(Box<Compacting>),
    /// This segment counts from now on, in place of those.
    Replaced(Box<Compacting>, Committed, Vec<Arc<Segment>>),
    Placed(Box<Compacting>),
    /// Everything before the offset is compacted.
    Compacted(i64),
    /// Nothing behind the offset has to be compacted yet.
    NotDue(i64),
    Discarded,
    /// It came to nothing, and took nothing with it: the log is as it was.
    Failed(LogError),
}

impl Compacting {
    fn advance(mut self: Box<Self>, log: &Log) -> Result<CompactionDone> {
        let bytes_per_second = log.config().compaction_bytes_per_second.unwrap_or(u64::MAX);
        match self.compaction.advance(STEP_BYTES.min(bytes_per_second / STEPS_PER_SECOND)) {
            Ok(Progress::Paused) => Ok(CompactionDone::Paused(self)),
            Ok(Progress::Written(output, replaced)) => {
                let committed = output.commit(|| log.sync_names())?;
                Ok(CompactionDone::Replaced(self, committed, replaced))
            }
            Ok(Progress::Done(offset)) => {
                log.directory.save_cleaned(&log.name, offset)?;
                Ok(CompactionDone::Compacted(offset))
            }
            Err(error) => Ok(CompactionDone::Failed(self.discard().err().unwrap_or(error))),
        }
    }

    /// Whether what is still to be done is part of a log of these segments.
    pub fn fits(&self, segments: &[Arc<Segment>]) -> bool {
        let is_there = |wanted: &Arc<Segment>| segments.iter().any(|segment| Arc::ptr_eq(segment, wanted));
        self.compaction.remaining().all(is_there)
    }

    /// Removes what was written and does not count.
    pub fn discard(self) -> Result<()> {
        self.compaction.discard()
    }

    /// How long to wait, at `now`, before it has taken its time for what it has read and written.
    pub fn pause(&self, now: Duration, bytes_per_second: Option<u64>) -> Duration {
        let Some(bytes_per_second) = bytes_per_second else { return Duration::ZERO };
        let due =
            Duration::from_secs_f64(self.compaction.moved_bytes as f64 / bytes_per_second.max(1) as f64);
        (self.began + due).saturating_sub(now)
    }
}

impl CompactionStep {
    pub fn execute(self, log: &Log) -> Result<CompactionDone> {
        match self {
            Self::Begin(mut plan, turn) => {
                match plan.heed_lag() {
                    Ok(true) => {}
                    Ok(false) => return Ok(CompactionDone::NotDue(plan.first_dirty_offset)),
                    Err(error) => return Ok(CompactionDone::Failed(error)),
                }
                let start_offset = plan.segments[0].base_offset;
                match log.aborted_transactions(start_offset, plan.end_offset, Access::Blocking) {
                    Ok(aborted) => plan.aborted = aborted,
                    Err(error) => return Ok(CompactionDone::Failed(error)),
                }
                let (compaction, began) = (Compaction::new(*plan), log.runner.now());
                Box::new(Compacting { compaction, began, _turn: turn }).advance(log)
            }
            Self::Advance(compacting) => compacting.advance(log),
            Self::TakePlace(compacting, committed, replaced) => {
                let segment = &committed.segment;
                let storage = log.directory.storage.as_ref();
                let bases = replaced.iter().map(|segment| segment.base_offset);
                take_place(storage, &log.dir, segment.base_offset, bases, || log.sync_names())?;
                segment.forget_indexes();
                Ok(CompactionDone::Placed(compacting))
            }
            Self::Discard(compacting) => {
                Ok(compacting.discard().map_or_else(CompactionDone::Failed, |()| CompactionDone::Discarded))
            }
        }
    }
}

impl Log {
    /// A compaction of everything that may be compacted now: sealed, durable, decided. `None` when there is nothing new
    /// in it, or less than the configured share.
    pub(crate) fn plan_compaction(&self, state: &State, whatever_ratio: bool) -> Option<CompactionPlan> {
        let sealed = &state.segments[..state.segments.len() - 1];
        let decided = state.last_stable_offset(self.visible(state).offset);
        let limit = state.recovery_point.min(state.unflushed_base).min(decided);
        let ends = state.segments.iter().skip(1).map(|next| next.base_offset);
        let count = ends.take_while(|&end| end <= limit).count();
        let segments = sealed[..count].to_vec();
        let end_offset = state.segments[count].base_offset;
        let start_offset = state.segments[0].base_offset;
        let cleaned = self.directory.cleaned_offset(&self.name).filter(|&offset| offset <= end_offset);
        let first_dirty_offset = cleaned.unwrap_or(start_offset).max(start_offset);
        let config = self.config();
        let plan = CompactionPlan {
            storage: self.directory.storage.clone(),
            dir: self.dir.clone(),
            segments,
            end_offset,
            first_dirty_offset,
            // Their indexes are on disk: the first job looks them up.
            aborted: Vec::new(),
            last_records: state.producers.producers().map(last_record).collect(),
            now_ms: self.runner.wall_clock_ms(),
            delete_retention_ms: config.delete_retention_ms,
            segment_bytes: config.segment_bytes,
            index_bytes: config.index_bytes,
            index_interval_bytes: config.index_interval_bytes,
            max_keys: MAX_KEYS,
            lag: Lag { min_ms: config.min_compaction_lag_ms, max_ms: config.max_compaction_lag_ms },
            min_dirty_ratio: (!whatever_ratio).then_some(config.min_cleanable_dirty_ratio),
        };
        // Times are on disk: where they matter the first job decides.
        let may_be_due = plan.is_due_by_ratio() || plan.dirty_ratio() > 0.0 && plan.lag.max_ms.is_some();
        may_be_due.then_some(plan)
    }

    pub(crate) fn begin_compaction(&self, plan: CompactionPlan, turn: CompactionTurn) -> CompactionStep {
        CompactionStep::Begin(Box::new(plan), turn)
    }
}

fn last_record(producer: &ProducerState) -> (i64, LastRecord) {
    let last_data_offset = producer.last_batch().map(|batch| batch.last_offset);
    (producer.producer_id, LastRecord { last_data_offset, producer_epoch: producer.producer_epoch })
}

impl State {
    /// Puts a compacted segment in the place of those that it was made from.
    pub(crate) fn replace(&mut self, segment: &Arc<Segment>, replaced: &[Arc<Segment>]) {
        let first = self.segments.partition_point(|one| one.base_offset < segment.base_offset);
        self.segments.splice(first..first + replaced.len(), [segment.clone()]);
        self.generation += 1;
    }
}
