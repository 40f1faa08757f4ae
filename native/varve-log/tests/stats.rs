//! The failure this guards against: figures that nobody checks, and everybody believes.

mod simulation;

use std::time::Duration;

use simulation::{Solo, batch_of, config};
use varve_log::sim::SimStorage;
use varve_log::{Access, Durability, LogConfig, SliceRequest, Volume};

fn append(solo: &Solo, values: &[&str]) -> i64 {
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    solo.append(batch_of(0, &values)).unwrap()
}

#[test]
fn appends_are_counted_when_they_are_written_and_groups_when_they_are_durable() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    append(&solo, &["one", "two"]);
    solo.runner.execute();
    append(&solo, &["three"]);
    append(&solo, &["four", "five"]);
    let stats = solo.log.stats();
    assert_eq!((stats.appended.batches, stats.appended.records, stats.appended.bytes), (3, 5, stats.bytes));
    assert_eq!((stats.write.count, stats.flush.count, stats.flush_group.count), (3, 1, 0), "not told yet");
    solo.drain();
    let stats = solo.log.stats();
    assert_eq!((stats.flush.count, stats.flush_group.count), (2, 2));
    assert_eq!((stats.flush_group.total, stats.flush_group.max), (5, 3), "a group of two and one of three");
}

#[test]
fn appends_take_as_long_as_they_wait_for_what_acknowledges_them() {
    let wait = |solo: &Solo, ms| solo.runner.advance(Duration::from_millis(ms));
    let took = |solo: &Solo| {
        let told = solo.log.stats().acknowledge;
        (told.count, told.total / 1_000_000)
    };
    let solo = Solo::open(&SimStorage::new(1), config(Durability::Fsync)).unwrap();
    append(&solo, &["one"]);
    wait(&solo, 3);
    append(&solo, &["two"]);
    solo.runner.execute();
    wait(&solo, 4);
    assert_eq!(took(&solo), (0, 0), "nobody has been told");
    solo.runner.publish();
    assert_eq!(took(&solo), (1, 7), "the flush began before the second");
    solo.drain();
    assert_eq!(took(&solo), (2, 11));
    append(&solo, &["three"]);
    wait(&solo, 5);
    solo.log.configure(|config| config.durability = Durability::Os).unwrap();
    assert_eq!(took(&solo), (3, 16), "what waited for an fsync is acknowledged at once");
    append(&solo, &["four"]);
    assert_eq!(took(&solo), (4, 16));
}

#[test]
fn what_is_refused_is_counted_as_that_alone() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    let mut bad = batch_of(0, &[b"bad"]);
    *bad.last_mut().unwrap() ^= 1;
    assert!(solo.append(bad).is_err());
    let stats = solo.log.stats();
    assert_eq!((stats.refused_batches, stats.appended, stats.write.count), (1, Volume::default(), 0));
}

#[test]
fn a_write_that_fails_is_no_append_and_a_flush_that_fails_no_flush() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    append(&solo, &["one"]);
    storage.fail_at(storage.operation_count() + 1, libc::EIO);
    solo.drain();
    assert_eq!((solo.log.stats().flush.count, solo.log.stats().flush_group.count), (0, 0));
    assert!(solo.append(batch_of(0, &[b"two"])).is_err());
    assert_eq!((solo.log.stats().appended.batches, solo.log.stats().refused_batches), (1, 1));
}

#[test]
fn segments_and_their_size_are_those_of_now_and_rolls_those_of_this_life() {
    let storage = SimStorage::new(1);
    let small = LogConfig { segment_bytes: 300, ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, small).unwrap();
    for _ in 0..10 {
        append(&solo, &["a record of some length"]);
    }
    solo.drain();
    let stats = solo.log.stats();
    assert!(stats.rolls > 2, "{stats:?}");
    assert_eq!((stats.segments, stats.bytes), (stats.rolls + 1, stats.appended.bytes));
    solo.log.close().unwrap();
    assert_eq!(solo.log.stats().appended.records, 10, "a closed log still tells");
}

#[test]
fn closing_is_a_flush_of_what_was_left() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    append(&solo, &["one", "two"]);
    solo.log.close().unwrap();
    let stats = solo.log.stats();
    assert_eq!((stats.flush.count, stats.flush_group.total), (1, 2));
}

#[test]
fn a_read_counts_once_however_many_steps_it_took() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    append(&solo, &["one"]);
    let request = SliceRequest { from: 0, up_to: i64::MAX, max_bytes: u64::MAX, min_one_batch: true };
    let slice = solo.log.slice(request, Access::Blocking).unwrap();
    let bytes = slice.bytes as usize;
    solo.log.note_read(bytes, bytes, Access::Cached);
    solo.log.note_read(bytes, 10, Access::Cached);
    solo.log.note_read(bytes - 10, bytes - 10, Access::Blocking);
    solo.log.note_sent(slice.bytes);
    let stats = solo.log.stats();
    assert_eq!((stats.cached.reads, stats.cold.reads, stats.sent.reads), (1, 1, 1));
    assert_eq!(stats.cached.bytes + stats.cold.bytes, 2 * slice.bytes);
}
