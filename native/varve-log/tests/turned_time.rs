//! The failure this guards against: time that a test turns does not reach the log, or `turn_to` comes back while a thread
//! still deletes, so that the test sees now the one and now the other.

mod scratch;

use std::path::Path;
use std::sync::Arc;

use scratch::{Scratch, open_directory};
use varve_log::runner::{Runner, ThreadRunner};
use varve_log::sim::{SimStorage, Survival};
use varve_log::turned_runner::TurnedRunner;
use varve_log::{DataDir, Durability, Identity, Log, LogConfig, UnsyncedStorage};
use varve_records::BatchBuilder;

const EPOCH_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn batch(timestamp: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp);
    builder.push(None, Some(&[7; 90]), &[]);
    builder.build()
}

/// A batch for which a new segment is made is taken when that is there.
fn append(log: &Arc<Log>, clock: &TurnedRunner, timestamp: i64) {
    while log.append(&mut [&mut batch(timestamp)]).results.is_empty() {
        clock.turn_to(EPOCH_MS);
    }
}

fn config() -> LogConfig {
    LogConfig {
        durability: Durability::Os,
        // A batch to a segment.
        segment_bytes: 200,
        index_interval_bytes: 100,
        retention_ms: Some(HOUR_MS),
        retention_check_ms: Some(300_000),
        ..LogConfig::default()
    }
}

#[test]
fn what_expires_is_deleted_when_the_clock_has_been_turned_and_not_before() {
    for round in 0..20 {
        let scratch = Scratch::new(&format!("turned-{round}"));
        let directory = open_directory(scratch.path()).unwrap();
        let clock = Arc::new(TurnedRunner::new(ThreadRunner::new(2), EPOCH_MS));
        let log = Log::open(directory, "log", config(), clock.clone(), Box::new(|_| {})).unwrap();
        for n in 0..6 {
            append(&log, &clock, EPOCH_MS + n * 10 * 60_000);
        }
        assert_eq!(clock.wall_clock_ms(), EPOCH_MS);
        clock.turn_to(EPOCH_MS + HOUR_MS);
        assert_eq!(log.start_offset(), 0, "the first is an hour old, and no older");
        clock.turn_to(EPOCH_MS + HOUR_MS + 25 * 60_000);
        assert_eq!(log.start_offset(), 3, "three are older than an hour");
        clock.turn_to(EPOCH_MS);
        assert_eq!(clock.wall_clock_ms(), EPOCH_MS + HOUR_MS + 25 * 60_000, "it is never turned back");
        log.close().unwrap();
    }
}

#[test]
fn a_directory_that_need_not_last_is_never_flushed_and_works_like_any_other() {
    let storage = SimStorage::new(1);
    let path = Path::new("/data");
    let identity = Identity {
        new_cluster_id: "cluster".into(),
        new_directory_id: "directory".into(),
        ..Identity::default()
    };
    for round in 0..2 {
        let unsynced = Arc::new(UnsyncedStorage(Arc::new(storage.clone())));
        let directory = DataDir::open(unsynced, path, &identity).unwrap();
        let clock = Arc::new(TurnedRunner::new(ThreadRunner::new(2), EPOCH_MS));
        let log = Log::open(directory.clone(), "log", config(), clock.clone(), Box::new(|_| {})).unwrap();
        assert_eq!(log.end_offset(), 3 * round);
        for n in 0..3 {
            append(&log, &clock, EPOCH_MS + n);
        }
        log.close().unwrap();
        directory.close().unwrap();
    }
    let segment = path.join("log/00000000000000000000.log");
    assert!(storage.contents(&segment).is_some());
    assert!(storage.power_loss(Survival::Nothing, 1).contents(&segment).is_none(), "nothing was flushed");
}
