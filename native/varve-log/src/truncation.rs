//! Cutting the end of a log off, as a follower does that has more than its leader.

use std::sync::Arc;

use crate::error::Result;
use crate::leader_epochs::LeaderEpochs;
use crate::log::Log;
use crate::producer_replay::ProducerReplay;
use crate::producer_snapshot;
use crate::producer_state_manager::ProducerStateManager;
use crate::segment::Segment;

/// Finds where a log must be cut so that nothing at or behind `offset` is left.
pub(crate) struct FindCut {
    pub segments: Vec<Arc<Segment>>,
    pub offset: i64,
}

pub(crate) struct Cut {
    /// The segment that becomes active, by its place in the list.
    pub kept: usize,
    /// Where its batches end.
    pub position: u64,
    pub end_offset: i64,
}

impl FindCut {
    pub(crate) fn execute(&self) -> Result<Cut> {
        let behind = self.segments.partition_point(|segment| segment.base_offset <= self.offset);
        for kept in (0..behind).rev() {
            let segment = &self.segments[kept];
            let (position, end_offset) = segment.cut_at(self.offset)?;
            // An empty segment would remember an offset that no batch in front of it reaches.
            if position > 0 || kept == 0 {
                return Ok(Cut { kept, position, end_offset });
            }
        }
        unreachable!("the first segment starts at or before the log's start offset")
    }
}

/// Takes away what lies behind a cut. The log has let go of it: a crash on the way leaves more of it than asked for,
/// never less, and no hole.
pub(crate) struct Truncation {
    /// The last one is cut at `position`.
    pub kept: Vec<Arc<Segment>>,
    pub position: u64,
    pub end_offset: i64,
    pub removed: Vec<Arc<Segment>>,
    /// The offsets of producer snapshots behind the cut.
    pub revoked: Vec<i64>,
    pub recovery_point: i64,
}

pub(crate) struct Truncated {
    /// The segment that appends go on in.
    pub segment: Arc<Segment>,
    /// As the batches that are left imply them.
    pub producers: ProducerStateManager,
    /// The one that is durable.
    pub recovery_point: i64,
}

impl Truncation {
    pub(crate) fn execute(mut self, log: &Log) -> Result<Truncated> {
        let cut = self.kept.pop().expect("a log has a segment");
        // From here on a reader that finds less than it expected knows why.
        self.removed.iter().for_each(|segment| segment.cut_slices(0));
        cut.cut_slices(self.position);
        log.directory.checkpoint(&log.name, self.recovery_point)?;
        log.directory.forget_cleaned(&log.name, self.end_offset)?;
        for segment in self.removed.iter().rev() {
            // Emptied first: should its name come back after a power loss, then without data.
            segment.empty()?;
            segment.remove_files()?;
        }
        let storage = log.directory.storage.as_ref();
        self.revoked.iter().try_for_each(|&at| producer_snapshot::revoke(storage, &log.dir, at))?;
        log.sync_names()?;
        let segment = Arc::new(cut.shortened(self.position)?);
        self.kept.push(segment.clone());
        let mut producers = ProducerStateManager::default();
        let replay = ProducerReplay { storage, dir: &log.dir, segments: &self.kept };
        replay.bring_to(self.end_offset, &mut producers)?;
        Ok(Truncated { segment, producers, recovery_point: self.recovery_point })
    }
}

/// Takes everything away and lets the log start anew. A crash on the way leaves a prefix of the old log, or the new one.
pub(crate) struct StartOver {
    pub offset: i64,
    pub old: Vec<Arc<Segment>>,
    /// The offsets of all producer snapshots.
    pub revoked: Vec<i64>,
}

impl StartOver {
    pub(crate) fn execute(self, log: &Log) -> Result<Truncated> {
        self.old.iter().for_each(|segment| segment.cut_slices(0));
        // Nothing is promised to be there while it goes.
        log.directory.checkpoint(&log.name, 0)?;
        log.directory.forget_cleaned(&log.name, 0)?;
        let (first, others) = self.old.split_first().expect("a log has a segment");
        // From the end on, and the first one's name stays: were all names removed at once, a power loss could bring
        // one of them back alone, and the log would seem to start there.
        self.old.iter().rev().try_for_each(|segment| segment.empty())?;
        others.iter().try_for_each(|segment| segment.remove_files())?;
        let storage = log.directory.storage.as_ref();
        self.revoked.iter().try_for_each(|&at| producer_snapshot::revoke(storage, &log.dir, at))?;
        LeaderEpochs::default().write(storage, &log.dir)?;
        log.sync_names()?;
        if first.base_offset == self.offset {
            first.remove_indexes()?;
        }
        let segment = log.create_segment(self.offset)?;
        segment.sync()?;
        log.sync_names()?;
        // Until here an empty segment that does not belong to the old log, from here on one that lies outside the new.
        log.directory.save_start(&log.name, self.offset)?;
        if first.base_offset != self.offset {
            first.remove_files()?;
            log.sync_names()?;
        }
        log.directory.checkpoint(&log.name, self.offset)?;
        let producers = ProducerStateManager::default();
        Ok(Truncated { segment: Arc::new(segment), producers, recovery_point: self.offset })
    }
}
