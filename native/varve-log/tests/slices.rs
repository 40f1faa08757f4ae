//! The failure this guards against: a reader that goes on at `next_offset` misses a record, gets one twice, or never
//! gets on.

mod simulation;

use simulation::{LOGS, Solo, all, batch_of, config, edit, file, read_all, segment_file};
use varve_log::sim::SimStorage;
use varve_log::{Access, Durability, Log, LogConfig, LogError, Slice, SliceRequest};
use varve_records::BatchHeader;

/// Batches of three records, three batches to a segment: offsets 0-2, 3-5, 6-8 | 9-11, 12-14, 15-17 | 18-20.
fn log_of_seven_batches() -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let config = LogConfig { segment_bytes: 3 * batch_bytes(), ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, config).unwrap();
    for n in 0..7 {
        assert_eq!(solo.append(batch()).unwrap(), 3 * n);
    }
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 21);
    (storage, solo)
}

fn batch() -> Vec<u8> {
    batch_of(1_700_000_000_000, &[b"a record of some length", b"another", b"and a third"])
}

fn batch_bytes() -> u64 {
    batch().len() as u64
}

fn ask(log: &Log, from: i64, up_to: i64, max_bytes: u64, min_one_batch: bool) -> Slice {
    log.slice(SliceRequest { from, up_to, max_bytes, min_one_batch }, Access::Blocking).unwrap()
}

/// The first offset in the slice, the batches in it and where to go on.
fn told(slice: &Slice) -> (Option<i64>, u64, i64) {
    let mut bytes = vec![0; slice.bytes as usize];
    slice.read(&mut bytes, 0, Access::Blocking).unwrap();
    let first = BatchHeader::parse(&bytes).map(|header| header.base_offset);
    assert_eq!(slice.bytes % batch_bytes(), 0, "whole batches");
    (first, slice.bytes / batch_bytes(), slice.next_offset)
}

#[test]
fn a_slice_starts_with_the_batch_that_holds_the_offset_and_ends_with_its_segment() {
    let (_storage, solo) = log_of_seven_batches();
    for from in 0..21 {
        let in_segment = [3, 2, 1, 3, 2, 1, 1][from as usize / 3];
        let next = [9, 18, 21][from as usize / 9];
        let slice = ask(&solo.log, from, i64::MAX, u64::MAX, true);
        assert_eq!(told(&slice), (Some(from / 3 * 3), in_segment, next), "from {from}");
    }
}

#[test]
fn a_slice_from_the_end_is_empty_and_one_from_outside_is_refused() {
    let (_storage, solo) = log_of_seven_batches();
    assert_eq!(told(&ask(&solo.log, 21, i64::MAX, u64::MAX, true)), (None, 0, 21));
    for from in [-1, 22, i64::MAX, i64::MIN] {
        let error = solo.log.slice(SliceRequest { from, ..all() }, Access::Blocking).err().unwrap();
        assert!(matches!(error, LogError::OffsetOutOfRange { start: 0, end: 21, .. }), "{error}");
        assert!(error.to_string().contains(&format!("offset {from} is not in the log")), "{error}");
    }
}

/// What reads up to an offset in the middle of a batch needs that batch: the records before the offset are in it.
#[test]
fn up_to_an_offset_are_all_batches_that_hold_one_before_it() {
    let (_storage, solo) = log_of_seven_batches();
    for up_to in 1..=9 {
        let batches = (up_to as u64).div_ceil(3);
        let slice = ask(&solo.log, 0, up_to, u64::MAX, true);
        assert_eq!(told(&slice), (Some(0), batches, batches as i64 * 3), "up to {up_to}");
    }
    for (from, up_to) in [(4, 5), (3, 4), (5, 6)] {
        assert_eq!(told(&ask(&solo.log, from, up_to, u64::MAX, true)), (Some(3), 1, 6), "{from} to {up_to}");
    }
    for (from, up_to) in [(4, 4), (4, 0), (4, i64::MIN), (9, 9)] {
        assert_eq!(told(&ask(&solo.log, from, up_to, u64::MAX, true)), (None, 0, from), "{from} to {up_to}");
    }
}

#[test]
fn a_slice_holds_as_many_whole_batches_as_fit() {
    let (_storage, solo) = log_of_seven_batches();
    let one = batch_bytes();
    for (max_bytes, batches) in [(one, 1), (2 * one - 1, 1), (2 * one, 2), (3 * one, 3), (u64::MAX, 3)] {
        for min_one_batch in [true, false] {
            let slice = ask(&solo.log, 1, i64::MAX, max_bytes, min_one_batch);
            assert_eq!(told(&slice), (Some(0), batches, batches as i64 * 3), "{max_bytes} bytes");
        }
    }
    for max_bytes in [0, 1, one - 1] {
        assert_eq!(told(&ask(&solo.log, 4, i64::MAX, max_bytes, true)), (Some(3), 1, 6));
        assert_eq!(told(&ask(&solo.log, 4, i64::MAX, max_bytes, false)), (None, 0, 4));
    }
}

#[test]
fn readers_of_any_step_see_every_record_once() {
    let (_storage, solo) = log_of_seven_batches();
    for max_bytes in [0, 1, batch_bytes(), 2 * batch_bytes() + 1, u64::MAX] {
        for start in 0..21 {
            let (mut from, mut batches) = (start, 0);
            while from < 21 {
                let slice = ask(&solo.log, from, i64::MAX, max_bytes, true);
                assert!(slice.next_offset > from, "it gets on");
                batches += slice.bytes / batch_bytes();
                from = slice.next_offset;
            }
            assert_eq!(batches, 7 - start as u64 / 3, "from {start} by {max_bytes}");
        }
    }
}

/// Kafka's cleaner leaves segments without records, and gaps at the ends of others.
#[test]
fn segments_that_hold_nothing_at_the_offset_are_passed_over() {
    let (storage, solo) = log_of_seven_batches();
    solo.close();
    let storage = storage.process_crash();
    // Offsets 3 to 11 are gone: the end of the first segment and the start of the second.
    let one = batch_bytes() as usize;
    edit(&storage, &segment_file(0, "log"), |bytes| bytes.truncate(one));
    edit(&storage, &segment_file(9, "log"), |bytes| drop(bytes.drain(..one)));
    for base in [0, 9] {
        for extension in ["index", "timeindex"] {
            edit(&storage, &segment_file(base, extension), Vec::clear);
        }
    }
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    for from in 3..12 {
        assert_eq!(told(&ask(&solo.log, from, i64::MAX, u64::MAX, true)), (Some(12), 2, 18), "from {from}");
    }
    assert_eq!(told(&ask(&solo.log, 0, i64::MAX, u64::MAX, true)), (Some(0), 1, 9));
    assert_eq!(told(&ask(&solo.log, 3, 10, u64::MAX, true)), (None, 0, 3), "nothing is left before 10");
}

#[test]
fn what_is_not_durable_is_not_shown() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    solo.append(batch()).unwrap();
    assert_eq!((solo.log.end_offset(), solo.log.durable_offset()), (3, 0));
    assert_eq!(told(&ask(&solo.log, 0, i64::MAX, u64::MAX, true)), (None, 0, 0));
    solo.drain();
    solo.append(batch()).unwrap();
    assert_eq!(told(&ask(&solo.log, 0, i64::MAX, u64::MAX, true)), (Some(0), 1, 3));
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    solo.append(batch()).unwrap();
    assert_eq!(told(&ask(&solo.log, 0, i64::MAX, u64::MAX, true)), (Some(0), 1, 3));
}

#[test]
fn a_slice_outlives_its_segment() {
    let (storage, solo) = log_of_seven_batches();
    let slice = ask(&solo.log, 0, i64::MAX, u64::MAX, true);
    use varve_log::storage::Storage;
    storage.rename(&segment_file(0, "log"), &file("elsewhere")).unwrap();
    storage.remove(&file("elsewhere")).unwrap();
    assert_eq!(told(&slice), (Some(0), 3, 9));
}

#[test]
fn cold_bytes_block_only_those_who_may_wait() {
    let (storage, solo) = log_of_seven_batches();
    solo.close();
    let storage = storage.process_crash();
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    storage.evict_all();
    for from in [0, 10, 18] {
        let request = SliceRequest { from, max_bytes: 1, ..all() };
        let cached = solo.log.slice(request, Access::Cached);
        assert!(matches!(cached, Err(LogError::WouldBlock)), "{:?}", cached.map(|slice| slice.bytes));
        let slice = solo.log.slice(request, Access::Blocking).unwrap();
        assert_eq!(told(&slice), (Some(from / 3 * 3), 1, from / 3 * 3 + 3));
        let slice = solo.log.slice(request, Access::Cached).unwrap();
        let mut bytes = vec![0; slice.bytes as usize];
        assert_eq!(slice.read(&mut bytes, 0, Access::Cached).unwrap() as u64, batch_bytes());
        storage.evict_all();
        assert_eq!(slice.read(&mut bytes, 0, Access::Cached).unwrap_err().code(), "VARVE_WOULD_BLOCK");
        assert_eq!(slice.read(&mut bytes, 5, Access::Blocking).unwrap() as u64, batch_bytes() - 5);
    }
}

#[test]
fn many_readers_at_once_do_not_mix_up_their_places() {
    let (_storage, solo) = log_of_seven_batches();
    let mut readers: Vec<i64> = (0..40).map(|n| n % 21).collect();
    for _ in 0..7 {
        for from in &mut readers {
            let slice = ask(&solo.log, *from, i64::MAX, 1, true);
            if *from < 21 {
                assert_eq!(told(&slice), (Some(*from / 3 * 3), 1, *from / 3 * 3 + 3));
            }
            *from = slice.next_offset;
        }
    }
    assert_eq!(readers, [21; 40]);
}

#[test]
fn a_file_that_became_shorter_is_told_and_not_read_past() {
    let (storage, solo) = log_of_seven_batches();
    let slice = ask(&solo.log, 0, i64::MAX, u64::MAX, true);
    edit(&storage, &segment_file(0, "log"), |bytes| bytes.truncate(100));
    let mut bytes = vec![0; slice.bytes as usize];
    let error = slice.read(&mut bytes, 0, Access::Blocking).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { position: 100, .. }), "{error}");
    assert!(error.to_string().contains(LOGS[0]), "{error}");
    assert!(read_all(&solo.log).is_err());
}
