//! The failure this guards against: a log runs into a full disk with nothing left for checkpoints and deletions, or what
//! was prepared ahead of its end is taken for records, for corruption, or for the end of a log that goes on.

mod simulation;

use std::time::Duration;

use simulation::{Solo, batch_of, config, file, segment_file};
use varve_log::sim::{SimStorage, Survival};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Durability, LogConfig, LogError, Preallocate};

const BATCH: usize = 300;

fn batch(n: usize) -> Vec<u8> {
    let overhead = batch_of(0, &[&[]]).len() + 2;
    batch_of(1000, &[format!("{n:0>width$}", width = BATCH - overhead).as_bytes()])
}

fn zeros(durability: Durability) -> LogConfig {
    LogConfig { preallocate: Preallocate::Zeros, segment_bytes: 2000, ..config(durability) }
}

#[test]
fn appends_are_refused_below_the_mark_and_taken_again_above_it() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, LogConfig { low_disk_bytes: Some(10_000), ..config(Durability::Fsync) });
    let solo = solo.unwrap();
    assert_eq!(solo.append(batch(0)).unwrap(), 0);
    storage.set_capacity(Some(9_999));
    solo.runner.advance(Duration::from_secs(1));
    solo.append(batch(1)).unwrap();
    solo.drain();
    let refused = solo.append(batch(2)).unwrap_err();
    assert!(matches!(&refused, LogError::LowDisk { mark: 10_000, .. }), "{refused}");
    assert_eq!(solo.answer(|log, answer| log.delete_before(1, answer)).unwrap(), 1, "deleting goes on");
    assert_eq!(solo.log.end_offset(), 2);
    storage.set_capacity(Some(100_000));
    solo.runner.advance(Duration::from_secs(1));
    solo.drain();
    assert_eq!(solo.append(batch(2)).unwrap(), 2);
    solo.close();
}

#[test]
fn a_log_on_a_full_disk_opens_and_says_so_at_the_first_append() {
    let storage = SimStorage::new(1);
    storage.set_capacity(Some(50_000));
    let low = LogConfig { low_disk_bytes: Some(60_000), ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, low).unwrap();
    assert_eq!(solo.append(batch(0)).unwrap_err().code(), "VARVE_LOW_DISK");
}

#[test]
fn zeros_ahead_of_the_end_are_trimmed_at_roll_and_close() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, zeros(Durability::Fsync)).unwrap();
    for n in 0..8 {
        solo.append(batch(n)).unwrap();
    }
    solo.drain();
    let length = |base| storage.contents(&segment_file(base, "log")).unwrap().len();
    assert_eq!(length(0), 6 * BATCH, "sealed");
    assert_eq!(length(6), 2000, "active");
    solo.close();
    assert_eq!(length(6), 2 * BATCH);
    let again = Solo::open(&storage, zeros(Durability::Fsync)).unwrap();
    assert_eq!((again.log.recovered, again.values().len()), (None, 8));
}

#[test]
fn a_tail_of_zeros_is_the_end_after_a_crash_and_nothing_is_cut() {
    for durability in [Durability::Fsync, Durability::Os] {
        let storage = SimStorage::new(1);
        let solo = Solo::open(&storage, zeros(durability)).unwrap();
        for n in 0..15 {
            solo.append(batch(n)).unwrap();
            let found = Solo::open(&storage.fork().process_crash(), zeros(durability)).unwrap();
            let recovered = found.log.recovered.unwrap();
            assert_eq!((recovered.end_offset, recovered.cut_bytes), (n as i64 + 1, 0), "{durability:?}");
            assert_eq!(found.values().len(), n + 1);
        }
    }
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, zeros(Durability::Fsync)).unwrap();
    for n in 0..15 {
        solo.append(batch(n)).unwrap();
        solo.drain();
        let acknowledged = solo.log.durable_offset();
        for survival in Survival::ALL {
            let found =
                Solo::open(&storage.fork().power_loss(survival, 3), zeros(Durability::Fsync)).unwrap();
            assert!(found.log.end_offset() >= acknowledged, "{survival:?}");
        }
    }
}

#[test]
fn a_disk_without_room_for_zeros_takes_appends_without_them() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, zeros(Durability::Fsync)).unwrap();
    for n in 0..7 {
        solo.append(batch(n)).unwrap();
    }
    solo.drain();
    let used = |storage: &SimStorage| -> u64 {
        let names = storage.list(file("x").parent().unwrap()).unwrap();
        names.iter().map(|name| storage.contents(&file(name)).unwrap().len() as u64).sum()
    };
    storage.set_capacity(Some(used(&storage) + 3000));
    let mut taken = 7;
    while taken < 16 && solo.append(batch(taken)).is_ok() {
        taken += 1;
    }
    assert!(taken > 12, "{taken} were taken");
    assert!(storage.open(&segment_file(0, "log"), OpenMode::Read).is_ok());
}
