//! Writing on threads while a disk is slow. An append usually takes microseconds on the calling thread, which is an event
//! loop; where the kernel throttles whoever dirties pages, or the disk is a network's, it takes as long as that does. Then
//! the writes of that disk move to threads until they are quick again. A log's own stay in their order: it has one under
//! way at a time, and appends wait for it as they do for a roll.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use varve_records::BatchHeader;

use crate::batch_reader::Access;
use crate::error::Result;
use crate::leader_epochs::LeaderEpochs;
use crate::log::{Log, State};
use crate::producer_state_manager::ProducerAppend;
use crate::segment::Segment;

/// A write that waits longer shows that the disk is slow.
const SLOW: Duration = Duration::from_millis(5);
/// So many quick ones in a row show that it no longer is.
const QUICK_WRITES: u32 = 16;

/// How the writes to the disk of a data directory have been going.
#[derive(Default)]
pub struct DiskPace {
    slow: AtomicBool,
    quick_writes: AtomicU32,
}

impl DiskPace {
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Takes how long a write took. One that only had no processor says nothing of the disk.
    pub(crate) fn note(&self, time: WriteTime) {
        if time.elapsed > SLOW && time.waited {
            self.quick_writes.store(0, Ordering::Relaxed);
            self.slow.store(true, Ordering::Relaxed);
        } else if self.is_slow() && self.quick_writes.fetch_add(1, Ordering::Relaxed) + 1 >= QUICK_WRITES {
            self.slow.store(false, Ordering::Relaxed);
        }
    }
}

/// How long a write took.
#[derive(Clone, Copy)]
pub(crate) struct WriteTime {
    pub elapsed: Duration,
    /// Whether it waited for anything but a processor, as far as is known.
    pub waited: bool,
}

/// Batches that belong at the end of the active segment, and what the log is once they are there.
pub(crate) struct GroupWrite {
    /// When they were given to the log.
    pub given: Duration,
    pub segment: Arc<Segment>,
    pub position: u64,
    pub headers: Vec<BatchHeader>,
    pub end_offset: i64,
    pub epochs: LeaderEpochs,
    pub producers: ProducerAppend,
}

/// The same with bytes of its own, for a thread.
pub(crate) struct ThreadedWrite {
    pub group: GroupWrite,
    pub bytes: Vec<u8>,
}

impl ThreadedWrite {
    pub(crate) fn execute(&self, log: &Log) -> Result<WriteTime> {
        log.write_timed(&self.group, &[&self.bytes])
    }
}

impl Log {
    /// Writes the bytes of a group.
    pub(crate) fn write_timed(&self, group: &GroupWrite, bytes: &[&[u8]]) -> Result<WriteTime> {
        // To find room for one more open file says nothing of how quick writes are.
        let _open = group.segment.file(Access::Blocking)?;
        let (started, waits) = (self.runner.now(), self.runner.waits());
        group.segment.write_at(bytes, group.position)?;
        let elapsed = self.runner.now().saturating_sub(started);
        let waited = elapsed > SLOW && (waits.is_none() || waits != self.runner.waits());
        Ok(WriteTime { elapsed, waited })
    }

    /// Publishes batches that have been written.
    pub(crate) fn wrote(self: &Arc<Self>, state: &mut State, group: GroupWrite, time: WriteTime) {
        self.directory.pace.note(time);
        self.stats.wrote(&group.headers, time.elapsed);
        group.segment.publish(group.headers.iter(), self.config().index_interval_bytes);
        state.end_offset = group.end_offset;
        state.take_epochs(group.epochs);
        self.take_producers(state, &group.segment, group.producers);
        state.unacknowledged.push_back((group.end_offset, group.given));
        self.count_acknowledged(state);
    }
}

#[cfg(test)]
mod tests {
    use super::{DiskPace, QUICK_WRITES, SLOW, WriteTime};
    use std::time::Duration;

    const LONG: Duration = SLOW.saturating_mul(2);

    #[test]
    fn a_disk_is_slow_from_one_slow_write_on_until_many_were_quick() {
        let pace = DiskPace::default();
        pace.note(WriteTime { elapsed: LONG, waited: true });
        for _ in 0..QUICK_WRITES {
            assert!(pace.is_slow());
            pace.note(WriteTime { elapsed: Duration::ZERO, waited: false });
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn a_write_that_waited_for_a_processor_shows_nothing() {
        let pace = DiskPace::default();
        pace.note(WriteTime { elapsed: LONG, waited: false });
        assert!(!pace.is_slow());
    }
}
