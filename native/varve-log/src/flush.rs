//! Group commit. One flush per log is under way at a time; what is appended meanwhile forms the next group.

use std::sync::Arc;

use crate::error::Result;
use crate::leader_epochs::LeaderEpochs;
use crate::log::{Log, Phase, State};
use crate::runner::Work;
use crate::segment::Segment;

/// What one flush covers, in the order in which it becomes durable: sealed segments, then the names of the files, then
/// the active segment. An acknowledgement in a new segment thereby waits for everything before it.
pub struct FlushPlan {
    sealed: Vec<Arc<Segment>>,
    names: bool,
    active: Option<Arc<Segment>>,
    /// Everything below is durable when the plan has succeeded.
    target: Mark,
}

/// An offset and where the batch that starts there begins, or would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub offset: i64,
    pub segment_base: i64,
    pub position: u64,
}

/// A recovery point, and what must be durable before it because recovery reads no further back.
pub struct Checkpoint {
    pub(crate) offset: i64,
    pub(crate) epochs: Option<LeaderEpochs>,
}

impl Checkpoint {
    pub(crate) fn execute(&self, log: &Log) -> Result<()> {
        self.prepare(log)?;
        log.directory.checkpoint(&log.name, self.offset)
    }

    /// Makes durable what comes before the recovery point.
    pub(crate) fn prepare(&self, log: &Log) -> Result<()> {
        let Some(epochs) = &self.epochs else { return Ok(()) };
        epochs.write(log.directory.storage.as_ref(), &log.dir)?;
        log.sync_names()
    }
}

/// A checkpoint is due after this much has been flushed, or this long, whichever comes first.
const CHECKPOINT_BYTES: u64 = 256 << 20;
const CHECKPOINT_SECONDS: u64 = 60;

/// So many sealed segments of a log may wait for their flush.
const UNFLUSHED_SEGMENTS: usize = 16;

impl FlushPlan {
    pub(crate) fn execute(&self, log: &Log) -> Result<()> {
        let started = log.runner.now();
        self.sync(log)?;
        log.stats.flushed(log.runner.now().saturating_sub(started));
        Ok(())
    }

    fn sync(&self, log: &Log) -> Result<()> {
        for segment in &self.sealed {
            segment.write_indexes()?;
            segment.trim()?;
            segment.sync()?;
        }
        if self.names {
            log.sync_names()?;
        }
        match &self.active {
            Some(segment) => segment.sync(),
            None => Ok(()),
        }
    }
}

impl State {
    /// The next flush, if one is wanted and none is under way.
    pub(crate) fn plan_flush(&mut self) -> Option<Work> {
        let active = self.active().clone();
        let seals = self.unflushed_base < active.base_offset;
        let wanted = self.flush_wanted > self.flushed.offset || seals;
        if self.flush_running || !wanted || !self.phase.takes_writes() {
            return None;
        }
        self.flush_running = true;
        let plan = self.flush_plan(self.flush_wanted > active.base_offset);
        Some(Work::Flush(plan))
    }

    /// A plan that covers the sealed segments, and the active one as far as it is written.
    pub(crate) fn flush_plan(&mut self, with_active: bool) -> FlushPlan {
        let active = self.active().clone();
        let first = self.segments.partition_point(|segment| segment.base_offset < self.unflushed_base);
        let sealed = self.segments[first..self.segments.len() - 1].to_vec();
        let target = if with_active {
            self.end_mark()
        } else {
            Mark { offset: active.base_offset, segment_base: active.base_offset, position: 0 }
        };
        let names = std::mem::take(&mut self.names_dirty);
        FlushPlan { sealed, names, active: with_active.then_some(active), target }
    }

    /// Lets appends into the next segment, once it is there and the flush has not fallen too far behind: a segment that
    /// is not flushed keeps its file open, and small ones roll faster than a disk can flush them. Where somebody waits until
    /// all of them are durable, they are first.
    pub(crate) fn end_roll(&mut self) {
        let is_prepared = self.active().base_offset == self.end_offset;
        let first = self.segments.partition_point(|segment| segment.base_offset < self.unflushed_base);
        let unflushed = self.segments.len() - 1 - first;
        let waits = self.maintenance.wants_durable() && !self.sealed_is_durable();
        if matches!(self.phase, Phase::Rolling) && is_prepared && unflushed <= UNFLUSHED_SEGMENTS && !waits {
            self.phase = Phase::Open;
        }
    }

    /// Takes the result of a flush.
    pub(crate) fn flushed(&mut self, plan: &FlushPlan, now_seconds: u64) {
        self.flush_running = false;
        if plan.target.offset > self.flushed.offset {
            let same_segment = plan.target.segment_base == self.flushed.segment_base;
            let flushed_before = if same_segment { self.flushed.position } else { 0 };
            self.flushed_bytes += plan.target.position - flushed_before;
            self.flushed = plan.target;
        }
        self.unflushed_base = self.unflushed_base.max(plan.target.segment_base);
        plan.sealed.iter().for_each(|segment| segment.forget_indexes());
        self.checkpoint_due |= !plan.sealed.is_empty()
            || self.flushed_bytes >= CHECKPOINT_BYTES
            || now_seconds >= self.checkpointed_at + CHECKPOINT_SECONDS;
    }

    /// The next checkpoint, if one is due and none is under way. There is no timer: a log that nobody appends to has
    /// nothing to checkpoint, and one that is appended to is flushed.
    pub(crate) fn plan_checkpoint(&mut self, now_seconds: u64) -> Option<Work> {
        let due = self.checkpoint_due && self.flushed.offset > self.recovery_point;
        if !due || self.checkpointing || !self.phase.takes_writes() {
            return None;
        }
        self.checkpointing = true;
        self.checkpoint_due = false;
        self.flushed_bytes = 0;
        self.checkpointed_at = now_seconds;
        Some(Work::Checkpoint(self.checkpoint_at(self.flushed.offset)))
    }

    /// A checkpoint at `offset`, with the leader epochs if they changed since the last one.
    pub(crate) fn checkpoint_at(&mut self, offset: i64) -> Checkpoint {
        let changed = std::mem::take(&mut self.epochs_changed);
        Checkpoint { offset, epochs: changed.then(|| self.epochs.clone()) }
    }
}
