//! What a log knows of its producers: for readers of committed records, for whoever asks who writes here, and in snapshots
//! for the next open.

use std::sync::Arc;

use crate::batch_reader::Access;
use crate::error::Result;
use crate::log::{Log, State};
use crate::producer_replay::ProducerReplay;
use crate::producer_snapshot;
use crate::producer_state::ProducerState;
use crate::transactions::AbortedTransaction;

impl Log {
    /// Up to where a reader of committed records may see: every transaction before it has ended, and its marker cannot
    /// be lost any more.
    pub fn last_stable_offset(&self) -> i64 {
        let mut state = self.state();
        let visible = self.visible(&state).offset;
        let high_watermark = state.high_watermark(visible);
        state.producers.remove_before(high_watermark);
        state.last_stable_offset(visible)
    }

    /// Tells the log what of it is replicated: no marker at or behind the high watermark ends a transaction for readers.
    /// A log that has never been told goes by its own durability.
    pub fn set_high_watermark(&self, offset: i64) {
        self.state().high_watermark = Some(offset);
    }

    /// The aborted transactions with a record in `from..up_to`, in the order of their markers. With [`Access::Cached`]
    /// it is [`crate::LogError::WouldBlock`] when an index is not in memory.
    pub fn aborted_transactions(
        &self,
        from: i64,
        up_to: i64,
        access: Access,
    ) -> Result<Vec<AbortedTransaction>> {
        self.read_stably(|| self.find_aborted(from, up_to, access))
    }

    fn find_aborted(&self, from: i64, up_to: i64, access: Access) -> Result<Vec<AbortedTransaction>> {
        let segments = self.state().segments.clone();
        let first = segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
        let mut found = Vec::new();
        for segment in &segments[first..] {
            if segment.with_aborted(access, |_| ())?.is_none() {
                let storage = self.directory.storage.as_ref();
                let replay = ProducerReplay { storage, dir: &self.dir, segments: &segments };
                segment.restore_aborted(replay.aborted_in(segment)?);
            }
            let collected = segment.with_aborted(access, |index| index.collect(from, up_to, &mut found))?;
            if collected == Some(true) {
                break;
            }
        }
        Ok(found)
    }

    /// The producers that the log remembers, in the order of their ids.
    pub fn producers(&self) -> Vec<ProducerState> {
        self.state().producers.producers().cloned().collect()
    }

    /// Writes a snapshot of the producers as they are, while nothing is appended: everything up to `offset` is in it. Of
    /// the older ones those that are not needed any more go.
    pub(crate) fn write_snapshot(&self, offset: i64) -> Result<()> {
        let (content, superseded) = {
            let state = self.state();
            (producer_snapshot::encode(state.producers.producers()), state.superseded_snapshots(offset))
        };
        let storage = self.directory.storage.as_ref();
        producer_snapshot::write(storage, &self.dir, offset, &content)?;
        superseded.iter().try_for_each(|&old| producer_snapshot::remove(storage, &self.dir, old))?;
        let mut state = self.state();
        state.snapshots.retain(|known| *known != offset && !superseded.contains(known));
        state.snapshots.push(offset);
        Ok(())
    }

    /// Forgets the producers that have been idle for too long.
    pub(crate) fn expire_producers(self: &Arc<Self>, state: &mut State) {
        state.producers.remove_expired(self.runner.wall_clock_ms(), self.config().producer_id_expiration_ms);
        state.producers_due = None;
        self.schedule_producer_expiry(state);
    }
}

impl State {
    fn high_watermark(&self, visible: i64) -> i64 {
        self.high_watermark.map_or(visible, |offset| offset.min(visible))
    }

    pub(crate) fn last_stable_offset(&self, visible: i64) -> i64 {
        self.producers.last_stable_offset(self.high_watermark(visible), self.start_offset)
    }

    /// Whether the next open would have to read batches to find the producers.
    pub(crate) fn lacks_snapshot(&self) -> bool {
        let log_start = self.segments[0].base_offset;
        self.end_offset > log_start && self.snapshots.last() != Some(&self.end_offset)
    }

    /// Those that one at `offset` makes superfluous. Every segment keeps the one at its start, as in Kafka: should the
    /// log come to end in it, only there is still known what producers wrote whose batches are deleted.
    fn superseded_snapshots(&self, offset: i64) -> Vec<i64> {
        let starts_segment =
            |known: &i64| self.segments.binary_search_by_key(known, |segment| segment.base_offset).is_ok();
        let older = self.snapshots.iter().copied().filter(|&known| known < offset);
        older.filter(|known| !starts_segment(known)).collect()
    }
}
