//! The producer snapshots of a log that opens: which of them may be believed, and which the next recovery needs.

use std::sync::Arc;

use super::{Opened, Opening, corruption};
use crate::checkpoint::replace_file;
use crate::error::{LogError, Result};
use crate::producer_replay::ProducerReplay;
use crate::producer_snapshot;
use crate::producer_state_manager::ProducerStateManager;
use crate::segment::Segment;

impl Opening<'_> {
    pub(super) fn producers_of<'a>(&'a self, segments: &'a [Arc<Segment>]) -> ProducerReplay<'a> {
        ProducerReplay { storage: self.storage.as_ref(), dir: self.dir, segments }
    }

    /// The snapshots that may be believed from now on. Those of batches that were cut off must be gone before others
    /// take their offsets; those from before the log's start lack what was deleted since.
    pub(super) fn find_snapshots(&self, opened: &Opened) -> Result<Vec<i64>> {
        let storage = self.storage.as_ref();
        let names = storage.list(self.dir).map_err(LogError::io("list", self.dir))?;
        let (start, end) = (opened.segments[0].base_offset, opened.end_offset);
        let mut kept = Vec::new();
        for offset in producer_snapshot::offsets(&names) {
            if offset > end {
                producer_snapshot::revoke(storage, self.dir, offset)?;
            } else if offset < start {
                producer_snapshot::remove(storage, self.dir, offset)?;
            // The one at the end must be whole, or closing would take it for one that need not be written.
            } else if offset < end || producer_snapshot::read(storage, self.dir, offset)?.is_some() {
                kept.push(offset);
            }
        }
        Ok(kept)
    }

    /// Makes the snapshots at the starts of the scanned segments durable, whatever failed before: the one at the log's
    /// start tells of batches that are deleted, and any of them may come to be that.
    pub(super) fn renew_snapshots(&self, snapshots: Vec<(i64, ProducerStateManager)>) -> Result<()> {
        let storage = self.storage.as_ref();
        for (offset, producers) in snapshots {
            let content = producer_snapshot::encode(producers.producers());
            if !producers.is_empty() {
                replace_file(storage, self.dir, &producer_snapshot::name(offset), &content)?;
            } else if producer_snapshot::read(storage, self.dir, offset)?.is_none() {
                producer_snapshot::write(storage, self.dir, offset, &content)?;
            }
        }
        Ok(())
    }

    /// Before segments go that a crash has kept: what their producers wrote, unless a snapshot tells already.
    pub(super) fn remember_producers(&self, segments: &[Arc<Segment>], deleted: usize) -> Result<()> {
        let Some(first) = segments.get(deleted).filter(|_| deleted > 0) else { return Ok(()) };
        if producer_snapshot::read(self.storage.as_ref(), self.dir, first.base_offset)?.is_some() {
            return Ok(());
        }
        let mut producers = ProducerStateManager::default();
        // What cannot be read of them is of no interest any more.
        corruption(self.producers_of(&segments[..deleted]).bring_to(first.base_offset, &mut producers))?;
        self.renew_snapshots(vec![(first.base_offset, producers)])
    }
}
