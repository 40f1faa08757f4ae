//! The failure this guards against: a consumer that asks for the records since noon misses some, or one that asks for
//! the newest record is told that there is none.

mod simulation;

use simulation::{Solo, batch_of, config, edit, segment_file};
use varve_log::sim::SimStorage;
use varve_log::{Durability, LogConfig, LogError, Phase};
use varve_records::{BatchHeader, BatchValidation, Codec, HEADER_BYTES, recompress, seal};

const T: i64 = 1_700_000_000_000;

/// Batches of one record at these timestamps, a few to a segment, an index entry for every second one.
fn log_at(times: &[i64]) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let bytes = batch_of(0, &[b"value"]).len() as u64;
    let config =
        LogConfig { segment_bytes: 5 * bytes, index_interval_bytes: bytes, ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, config).unwrap();
    times.iter().for_each(|&time| assert!(solo.append(batch_of(time, &[b"value"])).is_ok()));
    solo.drain();
    (storage, solo)
}

fn first_at_or_after(times: &[i64], timestamp: i64) -> Option<i64> {
    times.iter().position(|&time| time >= timestamp).map(|offset| offset as i64)
}

const ORDERS: [[i64; 12]; 4] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5],
    [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    [0, 9, 1, 1, 7, 3, 9, 12, 2, 0, 12, 4],
];

#[test]
fn the_first_record_at_or_after_a_time_is_found_whatever_the_order() {
    for order in ORDERS {
        let times = order.map(|time| T + time);
        let (storage, solo) = log_at(&times);
        let check = |solo: &Solo, state: &str| {
            for timestamp in (T - 1..T + 14).chain([0, i64::MIN, i64::MAX]) {
                let found = solo.log.batch_for_time(timestamp, 0).unwrap();
                assert_eq!(found, first_at_or_after(&times, timestamp), "{order:?}, {state}, at {timestamp}");
            }
            let max = times.iter().max().unwrap();
            let newest = solo.log.batch_of_max_timestamp().unwrap();
            assert_eq!(newest, first_at_or_after(&times, *max), "{order:?}, {state}");
        };
        check(&solo, "as written");
        let config = *solo.log.config();
        let crashed = storage.fork();
        solo.close();
        check(&Solo::open(&crashed, config).unwrap(), "recovered");
        let closed = storage.process_crash();
        check(&Solo::open(&closed, config).unwrap(), "closed and opened");
        for base in [0, 5, 10] {
            edit(&closed, &segment_file(base, "timeindex"), |bytes| bytes.fill(0));
        }
        check(&Solo::open(&closed.process_crash(), config).unwrap(), "with spoilt indexes");
    }
}

#[test]
fn an_empty_log_has_no_times() {
    let (_storage, solo) = log_at(&[]);
    assert_eq!(solo.log.batch_for_time(0, 0).unwrap(), None);
    assert_eq!(solo.log.batch_of_max_timestamp().unwrap(), None);
}

/// The newest record is usually the one that is just being flushed, and its batch is in the index already.
#[test]
fn a_record_that_is_not_durable_has_no_time_yet_and_hides_no_other() {
    for visible in 0..12 {
        let times: Vec<i64> = (0..visible).map(|n| T + ORDERS[3][n]).collect();
        let (_storage, solo) = log_at(&times);
        for _ in 0..3 {
            let mut batch = batch_of(T + 100, &[b"value"]);
            solo.log.append(&mut [&mut batch]);
        }
        assert_eq!(solo.log.durable_offset(), visible as i64);
        assert_eq!(solo.log.batch_for_time(T + 50, 0).unwrap(), None);
        let newest = times.iter().max().and_then(|&max| first_at_or_after(&times, max));
        assert_eq!(solo.log.batch_of_max_timestamp().unwrap(), newest, "{visible} are visible");
    }
}

#[test]
fn a_bad_batch_on_the_way_is_told_and_not_taken_for_the_end() {
    let times: Vec<i64> = (0..5).map(|n| T + n).collect();
    let (storage, solo) = log_at(&times);
    edit(&storage, &segment_file(0, "log"), |bytes| bytes[..61].fill(0));
    let error = solo.log.batch_for_time(T, 0).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { position: 0, offset: 0, .. }), "{error}");
    assert!(matches!(solo.log.phase(), Phase::Failed(_)), "{:?}", solo.log.phase());
}

#[test]
fn a_batch_that_cannot_be_decoded_is_an_error_and_no_damage() {
    let storage = SimStorage::new(1);
    let trusting = LogConfig { batch_validation: BatchValidation::Header, ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, trusting).unwrap();
    let plain = batch_of(T, &[b"value"]);
    let mut batch = recompress(BatchHeader::parse(&plain).unwrap(), &plain, Codec::Gzip, 1000).unwrap();
    batch[HEADER_BYTES..].fill(7);
    seal(&mut batch);
    assert_eq!(solo.append(batch).unwrap(), 0);
    solo.drain();
    for found in [solo.log.offset_for_time(T), solo.log.max_timestamp()] {
        assert_eq!(found.unwrap_err().code(), "VARVE_BATCH_INVALID");
    }
    assert!(matches!(solo.log.phase(), Phase::Open), "{:?}", solo.log.phase());
    assert_eq!(solo.append(batch_of(T, &[b"value"])).unwrap(), 1);
}
