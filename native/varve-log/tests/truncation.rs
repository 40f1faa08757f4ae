//! The failure this guards against: a follower cuts off what its leader does not have, and some of it is there
//! again after a crash, is read from a slice that was taken before, or takes records with it that were to stay.

mod simulation;

use simulation::crash::{CRASHES, after};
use simulation::seeds::seeds;
use simulation::{Solo, all, batch_of, config, names, segment_file};
use varve_log::sim::{SimStorage, Survival};
use varve_log::{Access, Durability, LogConfig, Phase, SliceRequest};

fn open(durability: Durability) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(durability)).unwrap();
    (storage, solo)
}

/// Batches of two records, several to a segment.
fn fill(solo: &Solo, batches: i64) {
    for n in 0..batches {
        let (a, b) = (format!("{:0>90}", 2 * n), format!("{:0>90}", 2 * n + 1));
        solo.append(batch_of(1000 + n, &[a.as_bytes(), b.as_bytes()])).unwrap();
    }
    solo.log.request_flush().unwrap();
    solo.drain();
}

/// Where logs are told to start over: within a batch and between two, at the first segment, at a later one, at the end
/// and behind it.
const STARTS: [i64; 8] = [0, 3, 5, 6, 7, 12, 24, 1_000_000];

fn truncate(solo: &Solo, offset: i64) -> i64 {
    solo.answer(|log, answer| log.truncate_to(offset, answer)).unwrap()
}

#[test]
fn every_offset_is_cut_at_the_start_of_its_batch_and_stays_cut_after_a_power_loss() {
    for durability in [Durability::Fsync, Durability::Os] {
        for offset in 0..=24 {
            let (storage, solo) = open(durability);
            fill(&solo, 12);
            assert!(names(&storage, ".log").len() > 3, "several segments");
            let end = truncate(&solo, offset);
            assert_eq!(end, offset - offset % 2, "a batch is cut off whole");
            assert_eq!((solo.log.end_offset(), solo.log.durable_offset()), (end, end));
            assert_eq!(solo.values().len() as i64, end);
            let found =
                Solo::open(&storage.fork().power_loss(Survival::Nothing, 3), config(durability)).unwrap();
            assert_eq!(found.log.end_offset(), end, "cut at {offset}");
            assert_eq!(found.values(), solo.values());
        }
    }
}

#[test]
fn appends_go_on_at_the_new_end_and_meanwhile_wait() {
    let (storage, solo) = open(Durability::Fsync);
    fill(&solo, 12);
    solo.log.truncate_to(7, Box::new(|end| assert_eq!(end.unwrap(), 6)));
    let mut batch = batch_of(5000, &[b"six", b"seven"]);
    assert_eq!(solo.log.append(&mut [&mut batch]).taken, 0);
    assert!(matches!(solo.log.phase(), Phase::Truncating));
    solo.drain();
    assert_eq!(solo.append(batch).unwrap(), 6);
    fill(&solo, 12);
    assert_eq!(solo.values()[6..8], ["six", "seven"]);
    assert_eq!(solo.log.batch_for_time(1003, 0).unwrap(), Some(6), "1003 to 1011 are gone");
    solo.close();
    let again = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    assert_eq!((again.log.recovered, again.log.end_offset()), (None, 32));
    assert_eq!(again.log.batch_for_time(5000, 0).unwrap(), Some(6));
}

/// Under `Os` readers see up to the end of the active segment's bytes, which are still there between the two jobs.
#[test]
fn nothing_behind_the_cut_is_read_while_its_bytes_are_still_there() {
    for durability in [Durability::Fsync, Durability::Os] {
        let (_, solo) = open(durability);
        solo.append_all(&["0", "1", "2", "3"]);
        solo.log.truncate_to(2, Box::new(|end| assert_eq!(end.unwrap(), 2)));
        solo.runner.execute();
        solo.runner.publish();
        assert_eq!(solo.values(), ["0", "1"], "{durability:?}, while the file is being cut");
        solo.drain();
        solo.append_all(&["a longer one", "3"]);
        assert_eq!(solo.values(), ["0", "1", "a longer one", "3"], "{durability:?}");
    }
}

#[test]
fn a_slice_that_reaches_beyond_the_cut_reads_nothing_and_one_before_it_everything() {
    let (_storage, solo) = open(Durability::Fsync);
    fill(&solo, 12);
    let slice = |from, up_to| {
        let request = SliceRequest { from, up_to, ..all() };
        solo.log.slice(request, Access::Blocking).unwrap()
    };
    let (before, across, behind) = (slice(0, 2), slice(0, 4), slice(12, 14));
    assert_eq!(truncate(&solo, 2), 2);
    fill(&solo, 12);
    let read = |slice: &varve_log::Slice| {
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking)
    };
    assert!(read(&before).is_ok() && !before.is_cut());
    for slice in [across, behind] {
        assert_eq!((read(&slice).unwrap_err().code(), slice.is_cut()), ("VARVE_TRUNCATED", true));
    }
}

#[test]
fn an_offset_before_the_log_is_refused_and_one_behind_it_changes_nothing() {
    let (_storage, solo) = open(Durability::Fsync);
    fill(&solo, 12);
    solo.answer(|log, answer| log.delete_before(5, answer)).unwrap();
    let refused = solo.answer(|log, answer| log.truncate_to(4, answer)).unwrap_err();
    assert_eq!(refused.code(), "VARVE_OFFSET_OUT_OF_RANGE");
    assert_eq!([truncate(&solo, 24), truncate(&solo, 99)], [24, 24]);
    assert_eq!(truncate(&solo, 5), 5, "the log's start lies within the batch that goes, and stays");
    assert_eq!((solo.log.start_offset(), solo.log.end_offset()), (5, 5));
    assert_eq!(solo.append(batch_of(0, &[b"x"])).unwrap(), 5);
}

#[test]
fn a_log_starts_over_wherever_it_is_told_to() {
    for offset in STARTS {
        let (storage, solo) = open(Durability::Fsync);
        fill(&solo, 12);
        let end = solo.answer(|log, answer| log.truncate_fully_and_start_at(offset, answer)).unwrap();
        assert_eq!((end, solo.log.start_offset(), solo.log.end_offset()), (offset, offset, offset));
        let found = Solo::open(&storage.fork().power_loss(Survival::Nothing, 1), config(Durability::Fsync));
        let found = found.unwrap();
        assert_eq!((found.log.start_offset(), found.log.end_offset()), (offset, offset));
        assert_eq!(solo.append(batch_of(0, &[b"first"])).unwrap(), offset);
        solo.drain();
        assert_eq!(solo.values(), ["first"]);
        solo.close();
        let again = Solo::open(&storage, config(Durability::Fsync)).unwrap();
        assert_eq!((again.log.recovered, again.values()), (None, vec!["first".to_string()]));
    }
}

/// A log of three leader epochs, whose first segments retention has deleted if `deleted` says so.
fn of_three_epochs(deleted: bool) -> (SimStorage, Solo) {
    let (storage, solo) = open(Durability::Fsync);
    for epoch in [2, 3, 5] {
        solo.log.set_leader_epoch(epoch).unwrap();
        fill(&solo, 4);
    }
    if deleted {
        solo.answer(|log, answer| log.delete_before(13, answer)).unwrap();
    }
    (storage, solo)
}

/// Either a prefix of the log that was there, or an empty one at `offset` that knows of no leader epoch.
fn is_as_before_or_starts_over(found: &Solo, offset: i64, before: &Solo, what: &str) {
    let (start, end) = (found.log.start_offset(), found.log.end_offset());
    assert!(matches!(found.log.phase(), Phase::Open), "{what}: {:?}", found.log.phase());
    if (start, end) == (offset, offset) {
        assert_eq!(found.log.epoch_at(offset), None, "{what}");
        assert_eq!(found.log.end_offset_for_epoch(5), None, "{what}");
        return found.log.set_leader_epoch(1).unwrap();
    }
    assert_eq!(start, before.log.start_offset(), "{what}: it ends at {end}");
    assert_eq!(found.values(), before.values()[..(end - start) as usize], "{what}");
    for at in start..end {
        assert_eq!(found.log.epoch_at(at), before.log.epoch_at(at), "{what}: the epoch of {at}");
    }
}

/// Returns how often.
fn crash_starting_over(deleted: bool, offset: i64, seed: u64) -> u32 {
    let (_, before) = of_three_epochs(deleted);
    let mut crashes = 0;
    for nth in 1.. {
        let (storage, solo) = of_three_epochs(deleted);
        storage.crash_at(storage.operation_count() + nth);
        let done = solo.answer(|log, answer| log.truncate_fully_and_start_at(offset, answer)).is_ok();
        for crash in CRASHES {
            let what = format!("{deleted}, at {offset}, operation {nth}, {crash:?}, seed {seed}");
            let left = after(&storage.fork(), crash, seed);
            left.crash_at(1 + seed % 24);
            drop(Solo::open(&left, config(Durability::Fsync)));
            let left = after(&left, crash, seed);
            let found = Solo::open(&left, config(Durability::Fsync));
            let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
            is_as_before_or_starts_over(&found, offset, &before, &what);
            crashes += 1;
        }
        if done {
            break;
        }
    }
    crashes
}

/// A follower goes on fetching at the end of whatever log it finds.
#[test]
fn starting_over_crashed_at_every_operation_leaves_the_old_log_or_an_empty_one_at_the_new_offset() {
    let mut crashes = 0;
    for seed in seeds(3, 100) {
        for (deleted, offset) in [false, true].into_iter().flat_map(|deleted| STARTS.map(|at| (deleted, at)))
        {
            crashes += crash_starting_over(deleted, offset, seed);
        }
    }
    assert!(crashes > 5000, "{crashes} crashes");
}

#[test]
fn epochs_that_wrote_nothing_that_is_left_are_forgotten() {
    let (storage, solo) = open(Durability::Fsync);
    fill(&solo, 2);
    solo.log.set_leader_epoch(3).unwrap();
    fill(&solo, 2);
    assert_eq!(solo.log.set_leader_epoch(2).unwrap_err().code(), "VARVE_EPOCH_FENCED");
    assert_eq!(solo.log.end_offset_for_epoch(0).unwrap().end_offset, 4);
    truncate(&solo, 4);
    assert_eq!(solo.log.epoch_at(3), Some(0));
    solo.close();
    let again = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    again.log.set_leader_epoch(2).unwrap();
    assert_eq!(again.log.end_offset_for_epoch(0).unwrap().end_offset, 4);
    assert_eq!(again.log.end_offset_for_epoch(2).unwrap().end_offset, 4);
    assert_eq!(again.log.end_offset_for_epoch(3), None);
}

#[test]
fn a_truncation_that_fails_closes_the_log_for_writes_and_loses_nothing_that_was_to_stay() {
    let mut failed = 0;
    for nth in 1.. {
        let (storage, solo) = open(Durability::Fsync);
        fill(&solo, 12);
        storage.fail_at(storage.operation_count() + nth, 5);
        if solo.answer(|log, answer| log.truncate_to(6, answer)).is_ok() {
            break;
        }
        failed += 1;
        assert!(matches!(solo.log.phase(), Phase::Failed(_)), "{:?}", solo.log.phase());
        assert_eq!(solo.append(batch_of(0, &[b"x"])).unwrap_err().code(), "VARVE_LOG_FAILED");
        let found =
            Solo::open(&storage.fork().process_crash(), LogConfig { ..config(Durability::Fsync) }).unwrap();
        assert!((6..=24).contains(&found.log.end_offset()), "{}", found.log.end_offset());
        assert!(storage.contents(&segment_file(0, "log")).is_some());
    }
    assert!(failed > 8, "{failed} operations failed");
}
