//! The failure this guards against: a setting that is changed while the log is open counts for nothing until it is opened
//! again, or its change takes from readers what they have seen, or leaves an append without its flush.

mod keyed;
mod simulation;

use std::time::Duration;

use keyed::{pair, put};
use simulation::{EPOCH_MS, Solo, batch_of, config, names, segment_file};
use varve_log::sim::{SimStorage, Survival};
use varve_log::{CleanupPolicy, Durability, LogConfig, LogError, Preallocate, TimestampType};
use varve_records::{BatchError, BatchHeader, BatchValidation, Codec};

fn unlimited(durability: Durability) -> LogConfig {
    LogConfig { segment_bytes: 1 << 20, retention_bytes: None, ..config(durability) }
}

fn open(durability: Durability) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unlimited(durability)).unwrap();
    (storage, solo)
}

fn configure(solo: &Solo, change: impl FnOnce(&mut LogConfig)) {
    solo.log.configure(change).unwrap();
}

fn append(solo: &Solo, value: &str) -> i64 {
    solo.append(batch_of(EPOCH_MS, &[value.as_bytes()])).unwrap()
}

fn append_times(solo: &Solo, count: usize, value: &str) {
    for _ in 0..count {
        append(solo, value);
    }
}

#[test]
fn a_smaller_segment_size_rolls_at_the_next_append() {
    let (storage, solo) = open(Durability::Fsync);
    append_times(&solo, 5, &"x".repeat(200));
    assert_eq!(names(&storage, ".log").len(), 1);
    configure(&solo, |config| config.segment_bytes = 600);
    append(&solo, "six");
    assert_eq!(names(&storage, ".log").len(), 2);
    configure(&solo, |config| config.segment_bytes = u64::MAX);
    assert_eq!(
        solo.log.config().segment_bytes,
        i32::MAX as u64,
        "index positions are 32 bits, as at the opening"
    );
}

#[test]
fn a_shorter_segment_time_and_smaller_indexes_roll_at_the_next_append() {
    let (storage, solo) = open(Durability::Fsync);
    append(&solo, "zero");
    solo.append(batch_of(EPOCH_MS + 5000, &[b"one"])).unwrap();
    configure(&solo, |config| config.segment_ms = Some(1000));
    solo.append(batch_of(EPOCH_MS + 6000, &[b"two"])).unwrap();
    assert_eq!(names(&storage, ".log").len(), 2);
    configure(&solo, |config| (config.segment_ms, config.index_interval_bytes) = (None, 0));
    append_times(&solo, 4, "entry");
    configure(&solo, |config| config.index_bytes = 24);
    append(&solo, "rolls");
    assert_eq!(names(&storage, ".log").len(), 3);
    solo.drain();
    let index = storage.contents(&segment_file(2, "index")).unwrap();
    assert_eq!(index.len(), 4 * 8, "an entry for every batch but the first, since the interval is 0");
}

#[test]
fn what_a_batch_may_be_is_asked_of_the_next_one() {
    let (_storage, solo) = open(Durability::Os);
    let mut broken = batch_of(EPOCH_MS, &[b"value"]);
    let at = broken.len() - 1;
    broken[at] = 0x7f;
    varve_records::seal(&mut broken);
    assert!(solo.append(broken.clone()).is_err());
    configure(&solo, |config| config.batch_validation = BatchValidation::Header);
    solo.append(broken).unwrap();

    configure(&solo, |config| config.max_batch_bytes = 100);
    let refused = solo.append(batch_of(EPOCH_MS, &[&[0; 100]]));
    assert!(matches!(refused, Err(LogError::Batch(BatchError::TooLarge { max: 100, .. }))));

    configure(&solo, |config| config.cleanup_policy = CleanupPolicy::Compact);
    configure(&solo, |config| config.batch_validation = BatchValidation::Full);
    assert!(solo.append(batch_of(EPOCH_MS, &[b"keyless"])).is_err(), "it could never be compacted");
    configure(&solo, |config| config.cleanup_policy = CleanupPolicy::Delete);
    solo.append(batch_of(EPOCH_MS, &[b"keyless"])).unwrap();
}

#[test]
fn codec_and_time_are_those_in_force_when_a_batch_is_written() {
    let (storage, solo) = open(Durability::Os);
    solo.runner.advance(Duration::from_secs(5));
    append(&solo, "as it came");
    configure(&solo, |config| config.compression = Some(Codec::Zstd));
    configure(&solo, |config| config.timestamp_type = TimestampType::LogAppendTime);
    append(&solo, "compressed");
    let bytes = storage.contents(&segment_file(0, "log")).unwrap();
    let first = BatchHeader::parse(&bytes).unwrap();
    let second = BatchHeader::parse(&bytes[first.total_bytes() as usize..]).unwrap();
    assert_eq!((first.codec(), first.max_timestamp), (Some(Codec::None), EPOCH_MS));
    assert_eq!((second.codec(), second.max_timestamp), (Some(Codec::Zstd), EPOCH_MS + 5000));
}

#[test]
fn a_batch_that_a_job_has_prepared_for_what_was_in_force_before_is_prepared_again() {
    let (storage, solo) = open(Durability::Os);
    configure(&solo, |config| config.compression = Some(Codec::Gzip));
    let value = vec![b'x'; 100 << 10];
    let mut batch = batch_of(EPOCH_MS, &[&value]);
    assert_eq!(solo.log.append(&mut [&mut batch]).taken, 0, "a job compresses it");
    solo.runner.execute();
    configure(&solo, |config| config.compression = Some(Codec::Lz4));
    solo.runner.publish();
    solo.append(batch).unwrap();
    let bytes = storage.contents(&segment_file(0, "log")).unwrap();
    assert_eq!(BatchHeader::parse(&bytes).unwrap().codec(), Some(Codec::Lz4));
}

#[test]
fn a_log_that_becomes_durable_hides_nothing_and_acknowledges_nothing_new_before_its_flush() {
    let (storage, solo) = open(Durability::Os);
    append(&solo, "seen");
    assert_eq!((solo.log.durable_offset(), solo.log.flushed_offset()), (1, 0));
    configure(&solo, |config| config.durability = Durability::Fsync);
    assert_eq!(solo.log.durable_offset(), 1, "whoever has read it may read it again");
    append(&solo, "not yet");
    assert_eq!((solo.log.durable_offset(), solo.log.end_offset()), (1, 2));
    assert_eq!(solo.values(), ["seen"]);
    solo.drain();
    assert_eq!((solo.log.durable_offset(), solo.log.flushed_offset()), (2, 2));
    let lost = Solo::open(&storage.power_loss(Survival::Nothing, 1), unlimited(Durability::Fsync)).unwrap();
    assert_eq!(lost.values(), ["seen", "not yet"]);
}

#[test]
fn a_log_that_need_not_be_durable_any_more_acknowledges_what_waits() {
    let (_storage, solo) = open(Durability::Fsync);
    append(&solo, "waits");
    assert_eq!(solo.log.durable_offset(), 0);
    configure(&solo, |config| config.durability = Durability::Os);
    assert_eq!(solo.log.durable_offset(), 1);
    append(&solo, "written");
    assert_eq!(solo.log.durable_offset(), 2);
}

#[test]
fn flush_intervals_count_for_what_lies_in_the_page_cache_already() {
    let (_storage, solo) = open(Durability::Os);
    append(&solo, "zero");
    configure(&solo, |config| config.flush_interval_ms = Some(1000));
    solo.runner.advance(Duration::from_millis(999));
    solo.drain();
    assert_eq!(solo.log.flushed_offset(), 0);
    solo.runner.advance(Duration::from_millis(1));
    solo.drain();
    assert_eq!(solo.log.flushed_offset(), 1);
    configure(&solo, |config| config.flush_interval_ms = None);
    append(&solo, "one");
    solo.runner.advance(Duration::from_secs(60));
    solo.drain();
    assert_eq!(solo.log.flushed_offset(), 1);
    configure(&solo, |config| config.flush_interval_bytes = Some(1));
    solo.drain();
    assert_eq!(solo.log.flushed_offset(), 2);
}

#[test]
fn a_retention_that_was_not_there_before_is_looked_at_in_its_time() {
    let (storage, solo) = open(Durability::Fsync);
    configure(&solo, |config| (config.segment_bytes, config.retention_check_ms) = (600, Some(60_000)));
    append_times(&solo, 12, &"x".repeat(200));
    solo.drain();
    configure(&solo, |config| config.retention_bytes = Some(600));
    let look_after = |seconds| {
        solo.runner.advance(Duration::from_secs(seconds));
        solo.drain();
        names(&storage, ".log").len()
    };
    let all = names(&storage, ".log").len();
    assert_eq!(look_after(30), all);
    configure(&solo, |config| config.retention_bytes = Some(700));
    assert_eq!(look_after(30), 2, "another limit does not put the look off");
    configure(&solo, |config| config.retention_bytes = None);
    append_times(&solo, 12, &"x".repeat(200));
    let more = look_after(600);
    assert!(more > 6);
    configure(&solo, |config| config.retention_ms = Some(1000));
    assert_eq!(look_after(60), 1, "only the active segment is left, which is empty");
}

#[test]
fn a_log_that_becomes_compacted_is_compacted_in_its_time_and_by_its_ratio() {
    let (_storage, solo) = open(Durability::Fsync);
    configure(&solo, |config| (config.segment_bytes, config.compaction_check_ms) = (300, Some(15_000)));
    for n in 0..20 {
        put(&solo, &[pair("key", &n.to_string())]);
        solo.drain();
    }
    let compactions = || {
        solo.runner.advance(Duration::from_secs(15));
        solo.drain();
        solo.log.compactions()
    };
    assert_eq!(compactions(), 0);
    configure(&solo, |config| config.cleanup_policy = CleanupPolicy::Compact);
    assert_eq!(compactions(), 1);
    for n in 0..4 {
        put(&solo, &[pair("key", &n.to_string())]);
        solo.drain();
    }
    configure(&solo, |config| config.min_cleanable_dirty_ratio = 1.0);
    assert_eq!(compactions(), 1, "part of the log is compacted");
    configure(&solo, |config| config.min_cleanable_dirty_ratio = 0.1);
    assert_eq!(compactions(), 2);
}

#[test]
fn the_low_disk_mark_goes_up_and_down() {
    let (storage, solo) = open(Durability::Os);
    storage.set_capacity(Some(1 << 20));
    configure(&solo, |config| config.low_disk_bytes = Some(2 << 20));
    solo.drain();
    let refused = solo.append(batch_of(EPOCH_MS, &[b"x"]));
    assert!(matches!(refused, Err(LogError::LowDisk { mark: 0x20_0000, .. })), "{refused:?}");
    configure(&solo, |config| config.low_disk_bytes = Some(1 << 19));
    append(&solo, "so much is free");
    configure(&solo, |config| config.low_disk_bytes = None);
    append(&solo, "whatever is free");
}

#[test]
fn room_is_prepared_from_the_next_append_on() {
    let (storage, solo) = open(Durability::Os);
    configure(&solo, |config| config.segment_bytes = 64 << 20);
    let value = "x".repeat(1_000_000);
    append_times(&solo, 2, &value);
    let length = storage.contents(&segment_file(0, "log")).unwrap().len();
    configure(&solo, |config| config.preallocate = Preallocate::Zeros);
    append(&solo, &value);
    solo.drain();
    assert!(
        storage.contents(&segment_file(0, "log")).unwrap().len() > 2 * length,
        "zeros lie ahead of the end"
    );
}

#[test]
fn producers_are_forgotten_after_the_time_in_force() {
    let (_storage, solo) = open(Durability::Os);
    let sequenced = |producer_id| {
        let mut batch = batch_of(EPOCH_MS, &[b"x"]);
        batch[43..51].copy_from_slice(&i64::to_be_bytes(producer_id));
        batch[51..57].copy_from_slice(&[0; 6]);
        varve_records::seal(&mut batch);
        batch
    };
    solo.append(sequenced(1)).unwrap();
    solo.runner.advance(Duration::from_secs(700));
    solo.append(sequenced(2)).unwrap();
    let ids = || solo.log.producers().iter().map(|producer| producer.producer_id).collect::<Vec<_>>();
    assert_eq!(ids(), [1, 2]);
    configure(&solo, |config| config.producer_id_expiration_ms = 1_000_000);
    assert_eq!(ids(), [1, 2], "by the times of their batches they wrote 700 s ago");
    configure(&solo, |config| config.producer_id_expiration_ms = 60_000);
    assert!(ids().is_empty());
}

#[test]
fn so_many_records_are_flushed_at_the_append_that_makes_them_so_many() {
    let (_storage, solo) = open(Durability::Os);
    configure(&solo, |config| config.flush_interval_records = Some(5));
    append_times(&solo, 4, "x");
    solo.drain();
    assert_eq!(solo.log.flushed_offset(), 0);
    solo.append(batch_of(EPOCH_MS, &[b"five", b"six"])).unwrap();
    solo.drain();
    assert_eq!(solo.log.flushed_offset(), 6);
}

#[test]
fn records_too_far_from_now_are_refused_unless_the_log_gives_its_own_time() {
    let (_storage, solo) = open(Durability::Os);
    let (day, hour) = (24 * 3_600_000, 3_600_000);
    configure(&solo, |config| config.timestamp_before_max_ms = Some(day));
    configure(&solo, |config| config.timestamp_after_max_ms = Some(hour));
    let at = |timestamp| solo.append(batch_of(timestamp, &[b"x"]));
    for (timestamp, is_taken) in
        [(-day, true), (-day - 1, false), (hour, true), (hour + 1, false), (-1 - EPOCH_MS, true)]
    {
        let result = at(EPOCH_MS + timestamp);
        let is_refused = matches!(result, Err(LogError::Batch(BatchError::Timestamp { .. })));
        assert_eq!((result.is_ok(), is_refused), (is_taken, !is_taken), "{timestamp} ms from now");
    }
    configure(&solo, |config| config.timestamp_type = TimestampType::LogAppendTime);
    at(5).unwrap();
}

#[test]
fn logs_that_began_together_roll_at_times_of_their_own_within_the_jitter() {
    let rolled_after = |jitter| -> Vec<i64> {
        let (storage, solo) = open(Durability::Os);
        configure(&solo, |config| (config.segment_ms, config.segment_jitter_ms) = (Some(1000), jitter));
        let bases = || names(&storage, ".log").len();
        let (mut began, mut lengths) = (0, Vec::new());
        for tick in 0..400 {
            let before = bases();
            solo.append(batch_of(EPOCH_MS + 50 * tick, &[b"x"])).unwrap();
            if bases() > before && before > 0 {
                lengths.push(50 * tick - std::mem::replace(&mut began, 50 * tick));
            }
        }
        lengths
    };
    let plain = rolled_after(0);
    assert!(plain.iter().all(|&ms| ms == 1050), "{plain:?}");
    let spread = rolled_after(500);
    assert!(spread.iter().all(|&ms| (500..=1050).contains(&ms)), "{spread:?}");
    assert!(spread.iter().any(|ms| ms != &spread[0]), "{spread:?}");
}

/// Segments of two records each, a second apart, in a log that looks every 15 s whether it has to compact.
fn keyed_log(seconds: i64) -> Solo {
    let (_storage, solo) = open(Durability::Fsync);
    configure(&solo, |config| {
        config.cleanup_policy = CleanupPolicy::Compact;
        config.segment_ms = Some(1500);
        config.compaction_check_ms = Some(15_000);
        config.min_cleanable_dirty_ratio = 1.0;
    });
    for n in 0..seconds {
        solo.append(keyed::batch_at(EPOCH_MS + 1000 * n, &[pair("key", &n.to_string())])).unwrap();
        solo.drain();
    }
    solo
}

#[test]
fn what_is_too_young_is_not_compacted_whoever_asks() {
    let solo = keyed_log(20);
    configure(&solo, |config| config.min_compaction_lag_ms = 20_000);
    let compact = || keyed::compact(&solo).unwrap();
    assert_eq!((compact(), solo.log.compactions()), (0, 0));
    solo.runner.advance(Duration::from_millis(30_500));
    solo.drain();
    assert_eq!(solo.log.compactions(), 1, "by its ratio, of what is old enough");
    assert_eq!(compact(), 10, "the segment of the records 10 and 11 is not older than 20 s yet");
    let offsets: Vec<i64> = keyed::entries(&solo.log).unwrap().iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (9..20).collect::<Vec<_>>());
    configure(&solo, |config| config.min_compaction_lag_ms = 0);
    assert_eq!(compact(), 18);
}

#[test]
fn what_has_waited_too_long_is_compacted_whatever_the_ratio() {
    let solo = keyed_log(20);
    keyed::compact(&solo).unwrap();
    for n in 20..24 {
        solo.append(keyed::batch_at(EPOCH_MS + 1000 * n, &[pair("key", &n.to_string())])).unwrap();
        solo.drain();
    }
    let compactions_after = |seconds| {
        solo.runner.advance(Duration::from_secs(seconds));
        solo.drain();
        solo.log.compactions()
    };
    assert_eq!(compactions_after(30), 1, "only part of it is new");
    configure(&solo, |config| config.max_compaction_lag_ms = Some(60_000));
    assert_eq!(compactions_after(45), 1, "the first record of the oldest segment is 57 s old");
    assert_eq!(compactions_after(15), 2);
}

#[test]
fn a_compacted_log_rolls_within_the_largest_lag() {
    let solo = keyed_log(1);
    configure(&solo, |config| (config.segment_ms, config.max_compaction_lag_ms) = (None, Some(5000)));
    let active_after = |ms| {
        solo.append(keyed::batch_at(EPOCH_MS + ms, &[pair("key", "value")])).unwrap();
        solo.log.active_segment()
    };
    assert_eq!((active_after(5000), active_after(5001)), (0, 2));
}

#[test]
fn settings_that_contradict_each_other_change_nothing() {
    let (storage, solo) = open(Durability::Os);
    configure(&solo, |config| config.min_compaction_lag_ms = 1000);
    let refused =
        solo.log.configure(|config| (config.max_compaction_lag_ms, config.segment_bytes) = (Some(999), 300));
    assert!(matches!(refused, Err(LogError::InvalidOption(_))));
    assert_eq!(solo.log.config().segment_bytes, 1 << 20);
    solo.close();
    let both =
        LogConfig { min_compaction_lag_ms: 2, max_compaction_lag_ms: Some(1), ..unlimited(Durability::Os) };
    assert!(matches!(Solo::open(&storage, both).err(), Some(LogError::InvalidOption(_))));
}

#[test]
fn a_log_that_takes_no_writes_takes_no_settings() {
    let (_storage, solo) = open(Durability::Os);
    let log = solo.log.clone();
    solo.close();
    assert!(matches!(log.configure(|config| config.segment_bytes = 600), Err(LogError::Closed { .. })));
    assert_eq!(log.config().segment_bytes, 1 << 20);
}
