//! Finding out from a log what its producers have written: from the newest snapshot that can be believed, and the headers
//! and markers of the batches behind it.

use std::path::Path;
use std::sync::Arc;

use varve_records::{BatchHeader, EndTransactionMarker};

use crate::batch_reader::{Access, BatchReader, Step};
use crate::error::{LogError, Result};
use crate::producer_snapshot;
use crate::producer_state_manager::ProducerStateManager;
use crate::segment::Segment;
use crate::storage::Storage;
use crate::transactions::AbortedTransaction;
use crate::txn_index::TransactionIndex;

pub(crate) struct ProducerReplay<'a> {
    pub storage: &'a dyn Storage,
    pub dir: &'a Path,
    /// In order; the last one may be active.
    pub segments: &'a [Arc<Segment>],
}

impl ProducerReplay<'_> {
    /// Brings `manager`, which knows of nothing, to what all batches before `offset` have left. After an error it knows
    /// of those in front of the damage.
    pub fn bring_to(&self, offset: i64, manager: &mut ProducerStateManager) -> Result<()> {
        let mut from = self.segments[0].base_offset;
        let names = self.storage.list(self.dir).map_err(LogError::io("list", self.dir))?;
        // One from before the log's start lacks what was deleted since.
        for snapshot in producer_snapshot::offsets(&names).into_iter().rev() {
            if (from..=offset).contains(&snapshot)
                && let Some(producers) = producer_snapshot::read(self.storage, self.dir, snapshot)?
            {
                *manager = ProducerStateManager::from_snapshot(producers);
                from = snapshot;
                break;
            }
        }
        for (i, segment) in self.segments.iter().enumerate() {
            let next_base = self.segments.get(i + 1).map_or(i64::MAX, |next| next.base_offset);
            if next_base > from && segment.base_offset < offset {
                self.replay(segment, from, offset.min(next_base), manager, |_| {})?;
            }
        }
        Ok(())
    }

    /// The index of the aborted transactions of one segment.
    pub fn aborted_in(&self, segment: &Segment) -> Result<TransactionIndex> {
        let mut manager = ProducerStateManager::default();
        self.bring_to(segment.base_offset, &mut manager)?;
        let mut index = TransactionIndex::default();
        self.replay(segment, segment.base_offset, i64::MAX, &mut manager, |aborted| index.push(aborted))?;
        Ok(index)
    }

    fn replay(
        &self,
        segment: &Segment,
        from: i64,
        up_to: i64,
        manager: &mut ProducerStateManager,
        mut take: impl FnMut(AbortedTransaction),
    ) -> Result<()> {
        let end = segment.bytes();
        let start = match from > segment.base_offset {
            true => segment.locate(from, end, Access::Blocking)?.map_or(end, |(_, position)| position),
            false => 0,
        };
        let mut reader = segment.reader(Access::Blocking, start, end)?;
        loop {
            match reader.next_header()? {
                Step::Batch(header, _) if header.base_offset >= up_to => return Ok(()),
                Step::Batch(header, position) => {
                    let aborted = replay_batch(manager, segment, &reader, &header, position)?;
                    aborted.into_iter().for_each(&mut take);
                }
                // Behind the last batch of a segment there may be what was prepared for more.
                Step::End => return Ok(()),
                Step::Bad { offset, .. } if offset >= up_to => return Ok(()),
                Step::Bad { position, offset, detail } => {
                    return Err(LogError::Corrupt { file: segment.log_path(), position, offset, detail });
                }
            }
        }
    }
}

/// Takes a batch of the log into account. If it ends a transaction with an abort, the entry for the index.
pub(crate) fn replay_batch(
    manager: &mut ProducerStateManager,
    segment: &Segment,
    reader: &BatchReader,
    header: &BatchHeader,
    position: u64,
) -> Result<Option<AbortedTransaction>> {
    if !header.has_producer_id() {
        return Ok(None);
    }
    // A compaction leaves an empty batch of what it has removed.
    if !header.is_control() || header.records_count == 0 {
        return Ok(manager.replay(header, None));
    }
    let marker = EndTransactionMarker::parse(&reader.control_batch(header, position)?);
    let marker = marker.ok_or_else(|| LogError::Corrupt {
        file: segment.log_path(),
        position,
        offset: header.base_offset,
        detail: "a control batch of a producer holds no transaction marker".into(),
    })?;
    Ok(manager.replay(header, Some(&marker)))
}
