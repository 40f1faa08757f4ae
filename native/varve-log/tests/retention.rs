//! The failure this guards against: a log grows for ever, deletes what it must keep, or has records again after a crash
//! that it said were deleted.

mod keyed;
mod simulation;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use simulation::{EPOCH_MS, Solo, all, batch_of, config, names};
use varve_log::runner::Runner;
use varve_log::sim::{SimStorage, Survival};
use varve_log::{Access, Answer, CleanupPolicy, Durability, Log, LogConfig, SliceRequest};

fn open(config: LogConfig) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config).unwrap();
    (storage, solo)
}

fn unlimited() -> LogConfig {
    LogConfig { retention_bytes: None, ..config(Durability::Fsync) }
}

/// Three batches to a segment, a second apart.
fn fill(solo: &Solo, batches: i64) {
    let first = solo.log.end_offset();
    for n in first..first + batches {
        solo.append(batch_of(EPOCH_MS + 1000 * n, &[format!("{n:0>200}").as_bytes()])).unwrap();
    }
    solo.log.request_flush().unwrap();
    solo.drain();
}

fn retain(solo: &Solo) -> i64 {
    solo.answer(|log, answer| log.apply_retention(answer)).unwrap()
}

#[test]
fn the_oldest_segments_go_as_long_as_the_others_hold_enough() {
    let (storage, solo) = open(unlimited());
    fill(&solo, 12);
    assert_eq!(names(&storage, ".log").len(), 4);
    assert_eq!(retain(&solo), 0, "without a limit nothing goes");
    let segment = 3 * batch_of(EPOCH_MS, &[&[0; 200]]).len() as u64;
    for (retained, start) in [(4 * segment, 0), (3 * segment + 1, 0), (3 * segment, 3), (segment, 9)] {
        let (storage, solo) = open(LogConfig { retention_bytes: Some(retained), ..unlimited() });
        fill(&solo, 12);
        assert_eq!(retain(&solo), start, "{retained} bytes are retained");
        for extension in [".log", ".index", ".timeindex"] {
            assert_eq!(names(&storage, extension).len() as i64, (12 - start) / 3, "{extension}");
        }
        let snapshots = names(&storage, ".snapshot");
        assert!(snapshots.iter().all(|name| name.as_str() >= &*format!("{start:020}")), "{snapshots:?}");
        assert_eq!(solo.values().len() as i64, 12 - start);
        solo.close();
        let again = Solo::open(&storage, unlimited()).unwrap();
        assert_eq!((again.log.start_offset(), again.log.end_offset()), (start, 12));
    }
}

#[test]
fn segments_go_once_their_youngest_record_is_too_old_and_the_active_one_is_rolled_for_it() {
    let retention_ms = Some(5_000);
    let (storage, solo) = open(LogConfig { retention_ms, ..unlimited() });
    fill(&solo, 8);
    // Record 2, the last of the first segment, is 2 s younger than the clock's start.
    for (at, start) in [(7_000, 0), (7_001, 3), (10_000, 3), (10_001, 6), (12_000, 6), (12_001, 8)] {
        solo.runner.advance(Duration::from_millis(at) - solo.runner.now());
        assert_eq!(retain(&solo), start, "after {at} ms");
    }
    assert_eq!(names(&storage, ".log"), ["00000000000000000008.log"], "{:?}", names(&storage, ""));
    assert_eq!(solo.append(batch_of(EPOCH_MS, &[b"goes on"])).unwrap(), 8);
    solo.close();
    let again = Solo::open(&storage, unlimited()).unwrap();
    assert_eq!((again.log.start_offset(), again.values()), (8, vec!["goes on".to_string()]));
}

/// Appends as soon as there is a segment to append to: one that has just been sealed is never flushed yet.
fn roll_without_pause(solo: &Solo, jobs: usize, mut goes_on: impl FnMut() -> bool) {
    for _ in 0..jobs {
        if !goes_on() {
            return;
        }
        let mut batch = keyed::batch_of(&[keyed::pair("key", &"v".repeat(300))]);
        while let Some(result) = solo.log.append(&mut [&mut batch]).results.pop() {
            result.unwrap();
        }
        solo.runner.execute();
        solo.runner.publish();
    }
}

#[test]
fn a_log_that_rolls_without_pause_is_deleted_from_all_the_same() {
    let (retention_bytes, retention_check_ms) = (Some(2_000), Some(1_000));
    let (storage, solo) = open(LogConfig { retention_bytes, retention_check_ms, ..config(Durability::Os) });
    roll_without_pause(&solo, 100, || true);
    assert_eq!(solo.log.start_offset(), 0);
    solo.runner.advance(Duration::from_millis(1_000));
    roll_without_pause(&solo, 200, || solo.log.start_offset() == 0);
    assert!(solo.log.start_offset() > 0, "{} segments", names(&storage, ".log").len());
    // A crash leaves what a start was made durable for.
    let start = solo.log.start_offset();
    drop(solo);
    let again = Solo::open(&storage.power_loss(Survival::Nothing, 1), config(Durability::Os)).unwrap();
    assert!(again.log.start_offset() <= start && again.log.end_offset() >= again.log.start_offset());
}

#[test]
fn who_asks_for_retention_or_compaction_is_answered_while_the_log_rolls_without_pause() {
    type Ask = fn(&Arc<Log>, Answer);
    let asks: [Ask; 2] = [|log, answer| log.apply_retention(answer), |log, answer| log.compact(answer)];
    for ask in asks {
        let config = LogConfig { retention_bytes: Some(2_000), ..config(Durability::Os) };
        let (_storage, solo) = open(LogConfig { cleanup_policy: CleanupPolicy::CompactAndDelete, ..config });
        roll_without_pause(&solo, 100, || true);
        let answered = Arc::new(AtomicBool::new(false));
        let told = answered.clone();
        ask(&solo.log, Box::new(move |_| told.store(true, Ordering::Relaxed)));
        roll_without_pause(&solo, 500, || !answered.load(Ordering::Relaxed));
        assert!(answered.load(Ordering::Relaxed));
    }
}

#[test]
fn the_log_looks_by_itself_as_often_as_it_is_told_to() {
    let (retention_ms, retention_check_ms) = (Some(1_000), Some(60_000));
    let (_storage, solo) = open(LogConfig { retention_ms, retention_check_ms, ..unlimited() });
    fill(&solo, 4);
    for (seconds, start) in [(59, 0), (1, 4), (1, 4)] {
        solo.runner.advance(Duration::from_secs(seconds));
        solo.drain();
        assert_eq!(solo.log.start_offset(), start);
    }
    fill(&solo, 1);
    for (seconds, start) in [(58, 4), (1, 5)] {
        solo.runner.advance(Duration::from_secs(seconds));
        solo.drain();
        assert_eq!(solo.log.start_offset(), start);
    }
}

#[test]
fn batches_without_a_time_do_not_age() {
    let (_storage, solo) = open(LogConfig { retention_ms: Some(1), ..unlimited() });
    for _ in 0..6 {
        solo.append(batch_of(-1, &[&[0; 250]])).unwrap();
    }
    solo.runner.advance(Duration::from_secs(1_000_000));
    assert_eq!(retain(&solo), 0);
}

#[test]
fn records_before_an_offset_are_gone_for_good_and_a_slice_of_them_stays_readable() {
    for offset in 1..=12 {
        let (storage, solo) = open(unlimited());
        fill(&solo, 12);
        let slice = solo.log.slice(SliceRequest { from: 0, up_to: 3, ..all() }, Access::Blocking).unwrap();
        let start = solo.answer(|log, answer| log.delete_before(offset, answer)).unwrap();
        assert_eq!(start, offset);
        let gone = solo.log.slice(SliceRequest { from: offset - 1, ..all() }, Access::Blocking);
        assert_eq!(gone.err().unwrap().code(), "VARVE_OFFSET_OUT_OF_RANGE");
        let mut bytes = vec![0; slice.bytes as usize];
        assert_eq!(slice.read(&mut bytes, 0, Access::Blocking).unwrap() as u64, slice.bytes);
        let segments = names(&storage, ".log").len() as i64;
        assert_eq!(segments, 4 - (offset / 3).min(3), "segments in front of {offset} are removed");
        for survival in Survival::ALL {
            let found = Solo::open(&storage.fork().power_loss(survival, 7), unlimited()).unwrap();
            assert_eq!((found.log.start_offset(), found.log.end_offset()), (offset, 12), "{survival:?}");
            assert_eq!(found.values().len() as i64, 12 - offset);
        }
    }
}

#[test]
fn what_recovery_would_have_missed_goes_as_soon_as_it_would_not() {
    let (storage, solo) = open(config(Durability::Os));
    roll_without_pause(&solo, 40, || true);
    let end = solo.log.end_offset();
    assert!(names(&storage, ".log").len() > 10);
    assert_eq!(solo.answer(|log, answer| log.delete_before(end, answer)).unwrap(), end);
    assert_eq!(names(&storage, ".log").len(), 1, "once all jobs have run");
    drop(solo);
    let again = Solo::open(&storage.power_loss(Survival::Nothing, 1), config(Durability::Os)).unwrap();
    assert!(again.log.start_offset() <= end && again.log.end_offset() >= again.log.start_offset());
}

#[test]
fn only_what_readers_can_see_is_deleted_and_nothing_twice() {
    let (_storage, solo) = open(unlimited());
    fill(&solo, 3);
    solo.log.append(&mut [&mut batch_of(0, &[b"not durable yet"])]);
    let refused = solo.answer(|log, answer| {
        log.delete_before(4, answer);
    });
    assert_eq!(refused.unwrap_err().code(), "VARVE_OFFSET_OUT_OF_RANGE");
    assert_eq!(solo.answer(|log, answer| log.delete_before(2, answer)).unwrap(), 2);
    assert_eq!(solo.answer(|log, answer| log.delete_before(1, answer)).unwrap(), 2);
}

#[test]
fn times_are_looked_up_behind_the_start() {
    let (_storage, solo) = open(unlimited());
    solo.append(batch_of(9_000, &[b"old", b"and large"])).unwrap();
    solo.append(batch_of(1_000, &[b"new"])).unwrap();
    solo.drain();
    solo.answer(|log, answer| log.delete_before(1, answer)).unwrap();
    assert_eq!(solo.log.batch_for_time(0, 0).unwrap(), Some(1), "the log starts within the first batch");
    solo.answer(|log, answer| log.delete_before(2, answer)).unwrap();
    assert_eq!(solo.log.batch_for_time(0, 0).unwrap(), Some(2));
    assert_eq!(solo.log.batch_of_max_timestamp().unwrap(), Some(2));
}

#[test]
fn a_log_whose_deleted_records_came_back_without_their_successors_starts_where_it_would_have() {
    let (storage, solo) = open(LogConfig { durability: Durability::Os, ..unlimited() });
    fill(&solo, 1);
    for _ in 1..3 {
        solo.append(batch_of(0, &[&[0; 200]])).unwrap();
    }
    solo.answer(|log, answer| log.delete_before(3, answer)).unwrap();
    let found = Solo::open(&storage.fork().power_loss(Survival::Nothing, 1), unlimited()).unwrap();
    assert_eq!((found.log.start_offset(), found.log.end_offset()), (3, 3));
    assert_eq!(found.append(batch_of(0, &[b"three"])).unwrap(), 3);
    found.drain();
    assert_eq!(found.values(), ["three"]);
}
