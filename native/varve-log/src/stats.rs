//! What a log counts of itself since it was opened. Counting takes no lock, so that it can happen under the log's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use histogram::{AtomicHistogram, Quantile};
use varve_records::BatchHeader;

use crate::batch_reader::Access;
use crate::log::{Log, State};
use crate::segment::Segment;

/// Counters and histograms since the log was opened, and its size now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogStats {
    /// Written, whether durable yet or not.
    pub appended: Volume,
    /// Batches that were given and not written.
    pub refused_batches: u64,
    /// Nanoseconds that each write of appended batches took.
    pub write: Distribution,
    /// Nanoseconds from each write's being given to the log until its durability covered it.
    pub acknowledge: Distribution,
    /// Nanoseconds that each flush took: of segments, their indexes, and the directory where names were new.
    pub flush: Distribution,
    /// Offsets that became durable with each flush that made any so.
    pub flush_group: Distribution,
    /// Segments begun.
    pub rolls: u64,
    /// Reads that the page cache answered on the thread that asked.
    pub cached: Reads,
    /// Reads that waited for the disk on a thread.
    pub cold: Reads,
    /// Slices handed to sockets, whose bytes nobody read here.
    pub sent: Reads,
    pub compaction: CompactionStats,
    pub segments: u64,
    /// Of the segment files, without their indexes.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub reads: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    pub completed: u64,
    /// Those that came to nothing; the log stayed as it was.
    pub failed: u64,
    /// Of the segments that compactions have replaced, and of those that took their place.
    pub replaced_bytes: u64,
    pub kept_bytes: u64,
}

/// How values are spread: quantiles at most 3 % too high, the rest exact. All zero when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    pub count: u64,
    pub total: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// Two in the power of this are the steps between a value and its double: an error of 3 %.
const GROUPING_POWER: u8 = 5;
/// Larger values, more than a minute in nanoseconds, are told apart by the maximum only.
const LARGEST_POWER: u8 = 36;

/// So many values are kept as they are. Most of thousands of partitions have hardly more, and buckets take 8 KiB.
const FEW: usize = 8;

/// Values as they come: the first few by themselves, all others in buckets.
#[derive(Default)]
pub(crate) struct Recorder {
    count: AtomicU64,
    /// Each with 1 added: 0 is none.
    few: [AtomicU64; FEW],
    buckets: OnceLock<AtomicHistogram>,
    total: AtomicU64,
    max: AtomicU64,
}

fn new_buckets() -> AtomicHistogram {
    AtomicHistogram::new(GROUPING_POWER, LARGEST_POWER).expect("the powers are in range")
}

impl Recorder {
    pub fn record(&self, value: u64) {
        let bounded = value.min((1 << LARGEST_POWER) - 1);
        match self.few.get(self.count.fetch_add(1, Ordering::Relaxed) as usize) {
            Some(place) => place.store(bounded + 1, Ordering::Relaxed),
            None => {
                self.buckets.get_or_init(new_buckets).increment(bounded).expect("the value is in range");
            }
        }
        self.total.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    pub fn distribution(&self) -> Distribution {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Distribution::default();
        }
        let few = self.few.iter().filter_map(|place| place.load(Ordering::Relaxed).checked_sub(1));
        let mut all = self.buckets.get().unwrap_or(&new_buckets()).load();
        few.for_each(|value| all.increment(value).expect("the value is in range"));
        const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
        let found = all.quantiles(&QUANTILES).expect("these are quantiles");
        let Some(found) = found else { return Distribution::default() };
        let max = self.max.load(Ordering::Relaxed);
        let [p50, p90, p99, p999] = QUANTILES.map(|quantile| {
            let bucket = Quantile::new(quantile).ok().and_then(|quantile| found.get(&quantile));
            bucket.map_or(max, |bucket| bucket.end().min(max))
        });
        let count = found.total_count() as u64;
        Distribution { count, total: self.total.load(Ordering::Relaxed), p50, p90, p99, p999, max }
    }
}

#[derive(Default)]
pub(crate) struct Stats {
    appended: VolumeCounter,
    refused_batches: AtomicU64,
    write: Recorder,
    acknowledge: Recorder,
    flush: Recorder,
    flush_group: Recorder,
    rolls: AtomicU64,
    cached: ReadCounter,
    cold: ReadCounter,
    sent: ReadCounter,
    compaction: CompactionCounter,
}

#[derive(Default)]
struct CompactionCounter {
    completed: AtomicU64,
    failed: AtomicU64,
    replaced_bytes: AtomicU64,
    kept_bytes: AtomicU64,
}

#[derive(Default)]
struct VolumeCounter {
    batches: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct ReadCounter {
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl ReadCounter {
    fn add(&self, reads: u64, bytes: u64) {
        add(&self.reads, reads);
        add(&self.bytes, bytes);
    }

    fn get(&self) -> Reads {
        Reads { reads: get(&self.reads), bytes: get(&self.bytes) }
    }
}

impl Stats {
    /// Batches were written with one call.
    pub fn wrote(&self, headers: &[BatchHeader], took: Duration) {
        add(&self.appended.batches, headers.len() as u64);
        add(&self.appended.records, headers.iter().map(|header| header.records_count as u64).sum());
        add(&self.appended.bytes, headers.iter().map(BatchHeader::total_bytes).sum());
        self.write.record(nanoseconds(took));
    }

    pub fn acknowledged(&self, took: Duration) {
        self.acknowledge.record(nanoseconds(took));
    }

    pub fn refused(&self, batches: usize) {
        if batches > 0 {
            add(&self.refused_batches, batches as u64);
        }
    }

    pub fn flushed(&self, took: Duration) {
        self.flush.record(nanoseconds(took));
    }

    /// A flush moved the flushed offset on by so many; by none when it covered only files.
    pub fn became_durable(&self, offsets: i64) {
        if offsets > 0 {
            self.flush_group.record(offsets as u64);
        }
    }

    pub fn rolled(&self) {
        add(&self.rolls, 1);
    }

    /// A compaction has written one segment in the place of others.
    pub fn replaced(&self, before: &[Arc<Segment>], after: &Segment) {
        add(&self.compaction.replaced_bytes, before.iter().map(|segment| segment.bytes()).sum());
        add(&self.compaction.kept_bytes, after.bytes());
    }

    pub fn compacted(&self, completed: bool) {
        add(if completed { &self.compaction.completed } else { &self.compaction.failed }, 1);
    }
}

impl Log {
    /// Called when more may have become durable.
    pub(crate) fn count_acknowledged(&self, state: &mut State) {
        if state.unacknowledged.is_empty() {
            return;
        }
        let (durable, now) = (self.visible(state).offset, self.runner.now());
        while let Some(&(end, given)) = state.unacknowledged.front()
            && end <= durable
        {
            state.unacknowledged.pop_front();
            self.stats.acknowledged(now.saturating_sub(given));
        }
    }

    /// What the log did since it was opened. The parts are read one after the other: appends that go on meanwhile may be
    /// in some and not in others.
    pub fn stats(&self) -> LogStats {
        let segments = self.state().segments.clone();
        let stats = &self.stats;
        LogStats {
            appended: Volume {
                batches: get(&stats.appended.batches),
                records: get(&stats.appended.records),
                bytes: get(&stats.appended.bytes),
            },
            refused_batches: get(&stats.refused_batches),
            write: stats.write.distribution(),
            acknowledge: stats.acknowledge.distribution(),
            flush: stats.flush.distribution(),
            flush_group: stats.flush_group.distribution(),
            rolls: get(&stats.rolls),
            cached: stats.cached.get(),
            cold: stats.cold.get(),
            sent: stats.sent.get(),
            compaction: CompactionStats {
                completed: get(&stats.compaction.completed),
                failed: get(&stats.compaction.failed),
                replaced_bytes: get(&stats.compaction.replaced_bytes),
                kept_bytes: get(&stats.compaction.kept_bytes),
            },
            segments: segments.len() as u64,
            bytes: segments.iter().map(|segment| segment.bytes()).sum(),
        }
    }

    /// The base offset of the segment that appends go to.
    pub fn active_segment(&self) -> i64 {
        self.state().active().base_offset
    }

    /// How many compactions have ended, one way or the other.
    pub fn compactions(&self) -> u64 {
        get(&self.stats.compaction.completed) + get(&self.stats.compaction.failed)
    }

    /// Counts a read of a slice that wanted `wanted` bytes and got `got`. What of it is left to a thread is counted as its
    /// read.
    pub fn note_read(&self, wanted: usize, got: usize, access: Access) {
        match access {
            Access::Cached => self.stats.cached.add(u64::from(got == wanted), got as u64),
            Access::Blocking => self.stats.cold.add(1, got as u64),
        }
    }

    /// Counts a slice that is sent to a socket.
    pub fn note_sent(&self, bytes: u64) {
        self.stats.sent.add(1, bytes);
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_three_percent_too_high_and_never_too_low() {
        let recorder = Recorder::default();
        (1..=100_000).for_each(|value| recorder.record(value));
        let found = recorder.distribution();
        assert_eq!((found.count, found.total, found.max), (100_000, 5_000_050_000, 100_000));
        for (value, exact) in
            [(found.p50, 50_000), (found.p90, 90_000), (found.p99, 99_000), (found.p999, 99_900)]
        {
            assert!((exact..=exact * 103 / 100).contains(&value), "{value} for {exact}");
        }
    }

    #[test]
    fn nothing_recorded_is_zero_and_what_is_beyond_all_buckets_is_the_maximum() {
        let recorder = Recorder::default();
        assert_eq!(recorder.distribution(), Distribution::default());
        recorder.record(1 << 40);
        let found = recorder.distribution();
        assert_eq!((found.count, found.max, found.total), (1, 1 << 40, 1 << 40));
        recorder.record(7);
        assert_eq!(recorder.distribution().p50, 7);
    }
}
