//! The failure this guards against: an append is acknowledged by a flush that did not cover it, or every append pays
//! for a flush of its own.

mod simulation;

use simulation::{Solo, batch_of, config};
use varve_log::sim::{OperationKind, SimStorage};
use varve_log::{Durability, LogConfig, Phase};

fn open() -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    solo.append_all(&["zero"]);
    (storage, solo)
}

fn append(solo: &Solo, value: &str) -> i64 {
    solo.append(batch_of(0, &[value.as_bytes()])).unwrap()
}

/// Files and directories synced since an operation, by the end of their names.
fn synced_since(storage: &SimStorage, number: u64) -> Vec<String> {
    let operations = storage.operations().into_iter().filter(|operation| operation.number > number);
    let syncs = operations.filter(|o| matches!(o.kind, OperationKind::SyncData | OperationKind::SyncDir));
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    syncs.map(|operation| name(&operation.path)).collect()
}

#[test]
fn what_is_appended_during_a_flush_is_the_next_group() {
    let (storage, solo) = open();
    let before = storage.operation_count();
    append(&solo, "one");
    assert_eq!(solo.runner.waiting(), (1, 0));
    append(&solo, "two");
    solo.runner.execute();
    append(&solo, "three");
    assert_eq!(solo.runner.waiting(), (0, 1), "one flush of a log at a time, told or not");
    assert_eq!(solo.log.durable_offset(), 1);
    solo.runner.publish();
    assert_eq!(solo.log.durable_offset(), 2, "not what was written after the flush was planned");
    assert_eq!(solo.runner.waiting(), (1, 0), "the next group goes at once");
    append(&solo, "four");
    solo.runner.execute();
    solo.runner.publish();
    assert_eq!(solo.log.durable_offset(), 4, "two and three are one group");
    solo.drain();
    assert_eq!((solo.log.durable_offset(), solo.runner.waiting()), (5, (0, 0)));
    let log = "00000000000000000000.log";
    assert_eq!(synced_since(&storage, before), [log; 3], "four appends, three flushes");
}

#[test]
fn an_idle_log_flushes_nothing_and_os_durability_only_when_asked() {
    let (_storage, solo) = open();
    solo.log.request_flush().unwrap();
    assert_eq!(solo.runner.waiting(), (0, 0));
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    append(&solo, "one");
    assert_eq!((solo.log.durable_offset(), solo.log.flushed_offset()), (1, 0));
    assert_eq!(solo.runner.waiting(), (0, 0));
    assert_eq!(solo.log.request_flush().unwrap(), 1);
    append(&solo, "two");
    solo.drain();
    assert_eq!((solo.log.durable_offset(), solo.log.flushed_offset()), (2, 1));
}

#[test]
fn an_append_in_a_new_segment_waits_for_the_sealed_one_and_for_the_directory() {
    let (storage, solo) = open();
    let before = storage.operation_count();
    let wide = format!("{:0>700}", 1);
    append(&solo, &wide);
    append(&solo, "in a new segment");
    assert_eq!(solo.log.end_offset(), 3);
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 3);
    let synced = synced_since(&storage, before);
    let at =
        |name: &str| synced.iter().position(|synced| synced == name).unwrap_or_else(|| panic!("{synced:?}"));
    let last = synced.iter().rposition(|synced| synced == "00000000000000000002.log").unwrap();
    for earlier in
        ["00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex"]
    {
        assert!(at(earlier) < last, "{earlier} is flushed before the new segment: {synced:?}");
    }
    assert!(at("orders-0") < last, "the new names are durable before the new segment: {synced:?}");
}

#[test]
fn a_failed_flush_acknowledges_nothing_and_is_not_tried_again() {
    let (storage, solo) = open();
    append(&solo, "one");
    let before = storage.operation_count();
    // The next write, then the fsync of the first group.
    storage.fail_at(before + 2, 5);
    append(&solo, "two");
    solo.drain();
    assert_eq!(synced_since(&storage, before).len(), 1, "never twice");
    assert!(matches!(solo.log.phase(), Phase::Failed(_)), "{:?}", solo.log.phase());
    assert_eq!((solo.log.durable_offset(), solo.log.end_offset()), (1, 3));
    assert_eq!(solo.runner.waiting(), (0, 0));
    let error = solo.append(batch_of(0, &[b"three"])).unwrap_err();
    assert_eq!((error.code(), error.os_error()), ("VARVE_LOG_FAILED", Some(5)));
    assert_eq!(solo.log.request_flush().unwrap_err().code(), "VARVE_LOG_FAILED");
    assert_eq!(solo.log.close().unwrap_err().code(), "VARVE_LOG_FAILED");
    assert_eq!(solo.values(), ["zero"], "what was durable before stays readable");
}

#[test]
fn whatever_fails_in_the_flush_of_a_roll_nothing_of_it_is_acknowledged() {
    let mut failed = Vec::new();
    for nth in 1.. {
        let (storage, solo) = open();
        append(&solo, &format!("{:0>700}", 1));
        solo.drain();
        let mut batch = batch_of(0, &[b"in a new segment, once there is one"]);
        assert_eq!(solo.log.append(&mut [&mut batch]).taken, 0);
        solo.runner.execute();
        solo.runner.publish();
        assert_eq!(solo.log.append(&mut [&mut batch]).taken, 1);
        let (durable, before) = (solo.log.durable_offset(), storage.operation_count());
        let operation = before + nth;
        storage.fail_at(operation, 5);
        solo.drain();
        let Phase::Failed(_) = solo.log.phase() else { break };
        let operations: Vec<String> = storage.operations().iter().map(ToString::to_string).collect();
        let what = operations[operation as usize - 1].clone();
        // A checkpoint runs beside the flush of the new segment, which is none the worse for it.
        let is_of_checkpoint =
            operations[before as usize..operation as usize].iter().any(|what| what.contains("checkpoint"));
        if !is_of_checkpoint {
            assert_eq!(solo.log.durable_offset(), durable, "{what} failed");
            failed.push(what);
        }
    }
    assert!(failed.iter().any(|what| what.contains("sync directory")), "{failed:?}");
}

#[test]
fn a_flush_that_succeeds_after_a_failed_write_still_counts() {
    let (storage, solo) = open();
    append(&solo, "one");
    storage.fail_at(storage.operation_count() + 1, 28);
    assert!(solo.append(batch_of(0, &[b"two"])).is_err());
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 2);
}

#[test]
fn a_bad_batch_fails_alone() {
    let (_storage, solo) = open();
    let mut good = [batch_of(0, &[b"one"]), batch_of(0, &[b"two", b"three"])];
    let mut bad = batch_of(0, &[b"bad"]);
    bad[70] ^= 1;
    let config = LogConfig { max_batch_bytes: 100, ..config(Durability::Fsync) };
    assert!(good.iter().all(|batch| (batch.len() as u64) < config.max_batch_bytes));
    let [first, second] = &mut good;
    let appended = solo.log.append(&mut [first, &mut bad, second]);
    assert_eq!(appended.taken, 3);
    let told: Vec<_> =
        appended.results.into_iter().map(|result| result.map_err(|error| error.code())).collect();
    assert_eq!(told, [Ok(1), Err("VARVE_BATCH_CORRUPT"), Ok(2)]);
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 4);
}

/// Whoever made a batch of several appends can part it then, and what comes of it has its place before the others.
#[test]
fn a_batch_that_is_too_large_is_the_last_that_a_call_takes() {
    let storage = SimStorage::new(1);
    let config = LogConfig { max_batch_bytes: 100, ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, config).unwrap();
    let mut batches = [batch_of(0, &[b"one"]), batch_of(0, &[&[7; 200]]), batch_of(0, &[b"two"])];
    let mut offered: Vec<&mut [u8]> = batches.iter_mut().map(Vec::as_mut_slice).collect();
    let appended = solo.log.append(&mut offered);
    let told: Vec<_> =
        appended.results.into_iter().map(|result| result.map_err(|error| error.code())).collect();
    assert_eq!((appended.taken, told), (2, vec![Ok(0), Err("VARVE_BATCH_TOO_LARGE")]));
    assert_eq!(solo.log.append(&mut offered[2..]).taken, 1);
    solo.drain();
    assert_eq!(solo.values(), ["one", "two"]);
}
