//! The failure this guards against: a batch that is compressed, stamped or looked at by a job is stored out of order, twice,
//! as another one, or never, or an event loop waits for what a job should do.

mod simulation;

use simulation::{EPOCH_MS, Solo, config, names, segment_file};
use varve_log::sim::{SimRng, SimStorage};
use varve_log::{Durability, LogConfig, Phase, TimestampType};
use varve_records::{BatchBuilder, BatchHeader, BatchRecords, Codec, EndTransactionMarker, recompress, seal};

fn open(change: LogConfig) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, LogConfig { segment_bytes: 1 << 20, ..change }).unwrap();
    (storage, solo)
}

/// A batch of one record of so many bytes, under a codec.
fn batch(byte: u8, bytes: usize, codec: Codec) -> Vec<u8> {
    let mut rng = SimRng::new(u64::from(byte));
    // Half noise: it is smaller when it is compressed, and not by much.
    let value: Vec<u8> = (0..bytes).map(|at| if at % 2 == 0 { byte } else { rng.below(256) as u8 }).collect();
    let mut builder = BatchBuilder::new(EPOCH_MS - 1000);
    builder.push(Some(&[byte]), Some(&value), &[]);
    let plain = builder.build();
    recompress(BatchHeader::parse(&plain).unwrap(), &plain, codec, 1 << 20).unwrap()
}

/// The stored batches: the first byte of each one's key, its codec and its times.
fn stored(storage: &SimStorage) -> Vec<(u8, Codec, Vec<i64>)> {
    let mut found = Vec::new();
    for name in names(storage, ".log") {
        let bytes = storage.contents(&segment_file(name[..20].parse().unwrap(), "log")).unwrap();
        let mut at = 0;
        while let Some(header) = BatchHeader::parse(&bytes[at..]) {
            let batch = &bytes[at..at + header.total_bytes() as usize];
            assert!(header.crc_matches(batch));
            assert_eq!(header.base_offset, found.len() as i64);
            let records = BatchRecords::open(header, batch, 1 << 20).unwrap();
            let times = records.iter().map(|record| record.unwrap().timestamp(&header)).collect();
            let key = records.iter().next().unwrap().unwrap().key.unwrap()[0];
            found.push((key, header.codec().unwrap(), times));
            at += batch.len();
        }
    }
    found
}

#[test]
fn batches_are_stored_under_the_logs_codec() {
    for codec in Codec::ALL {
        let (storage, solo) = open(LogConfig { compression: Some(codec), ..config(Durability::Os) });
        for (n, (from, bytes)) in
            (0..).zip(Codec::ALL.into_iter().flat_map(|from| [(from, 100), (from, 100_000)]))
        {
            assert_eq!(solo.append(batch(n, bytes, from)).unwrap(), i64::from(n));
        }
        let stored = stored(&storage);
        assert!(stored.iter().all(|(_, found, _)| *found == codec), "{codec}");
        assert!(stored.iter().map(|(key, ..)| *key).eq(0..10), "{codec}");
    }
}

#[test]
fn batches_are_compressed_at_the_logs_level() {
    let bytes = |zstd_level, from| {
        let change = LogConfig { compression: Some(Codec::Zstd), zstd_level, ..config(Durability::Os) };
        let (storage, solo) = open(change);
        solo.append(batch(1, 60_000, from)).unwrap();
        assert_eq!(stored(&storage)[0].1, Codec::Zstd);
        storage.contents(&segment_file(0, "log")).unwrap().len()
    };
    assert!(bytes(19, Codec::None) < bytes(-50, Codec::None));
    assert_eq!(bytes(19, Codec::Zstd), bytes(-50, Codec::Zstd), "what is zstd already stays as it came");
}

#[test]
fn a_level_that_takes_long_is_left_to_a_job() {
    for (zstd_level, taken) in [(3, 1), (19, 0)] {
        let change = LogConfig { compression: Some(Codec::Zstd), zstd_level, ..config(Durability::Os) };
        let (_storage, solo) = open(change);
        assert_eq!(solo.log.append(&mut [&mut batch(0, 100, Codec::None)]).taken, taken);
    }
}

#[test]
fn markers_of_transactions_are_never_compressed() {
    let (storage, solo) = open(LogConfig { compression: Some(Codec::Zstd), ..config(Durability::Os) });
    let marker = EndTransactionMarker { committed: true, coordinator_epoch: 0, timestamp: 5 };
    solo.append(marker.to_batch(1, 0)).unwrap();
    let bytes = storage.contents(&segment_file(0, "log")).unwrap();
    assert_eq!(EndTransactionMarker::parse(&bytes), Some(marker));
}

#[test]
fn records_have_the_time_of_their_append_where_it_counts() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..config(Durability::Os) };
    let (storage, solo) = open(config);
    for (n, (codec, bytes)) in (0..).zip([(Codec::None, 10), (Codec::Gzip, 10), (Codec::Lz4, 200_000)]) {
        solo.append(batch(n, bytes, codec)).unwrap();
    }
    assert!(stored(&storage).iter().all(|(_, _, times)| times == &[EPOCH_MS]));
    assert_eq!(solo.log.batch_for_time(EPOCH_MS, 0).unwrap(), Some(0));
    assert_eq!(solo.log.batch_for_time(EPOCH_MS + 1, 0).unwrap(), None);
}

#[test]
fn appends_wait_in_order_for_a_batch_that_takes_long() {
    let (storage, solo) = open(config(Durability::Os));
    let mut batches =
        [batch(0, 100, Codec::Gzip), batch(1, 200_000, Codec::Zstd), batch(2, 100, Codec::None)];
    let offer = |batches: &mut [Vec<u8>]| {
        let mut offered: Vec<&mut [u8]> = batches.iter_mut().map(Vec::as_mut_slice).collect();
        solo.log.append(&mut offered).taken
    };
    assert_eq!(offer(&mut batches), 1, "up to the one that is left to a job");
    assert!(matches!(solo.log.phase(), Phase::Preparing));
    assert_eq!(offer(&mut batches[1..]), 0);
    assert_eq!(solo.runner.waiting(), (1, 0), "one job for it");
    solo.runner.execute();
    assert_eq!(offer(&mut batches[1..]), 0, "not before it is told");
    solo.runner.publish();
    assert!(matches!(solo.log.phase(), Phase::Open));
    assert_eq!(offer(&mut batches[1..]), 2);
    assert_eq!(BatchHeader::parse(&batches[1]).unwrap().base_offset, 1, "assigned in place");
    assert!(stored(&storage).iter().map(|(key, ..)| *key).eq(0..3));
}

#[test]
fn a_batch_that_was_taken_back_meanwhile_is_not_stored_in_place_of_another() {
    let (storage, solo) = open(LogConfig { compression: Some(Codec::Lz4), ..config(Durability::Os) });
    let mut first = batch(1, 100_000, Codec::None);
    assert_eq!(solo.log.append(&mut [&mut first]).taken, 0);
    solo.drain();
    for byte in [2, 3, 4] {
        let bytes = if byte == 3 { 100 } else { 100_000 };
        solo.append(batch(byte, bytes, Codec::None)).unwrap();
    }
    assert!(stored(&storage).iter().map(|(key, ..)| *key).eq(2..5));
}

#[test]
fn a_batch_that_lies_is_refused_by_the_job_as_well() {
    let (_storage, solo) = open(config(Durability::Os));
    for bytes in [100, 200_000] {
        let mut lying = batch(0, bytes, Codec::Zstd);
        lying[57..61].copy_from_slice(&2i32.to_be_bytes());
        lying[23..27].copy_from_slice(&1i32.to_be_bytes());
        seal(&mut lying);
        let error = solo.append(lying).unwrap_err();
        assert_eq!(error.code(), "VARVE_BATCH_INVALID", "{bytes} bytes");
        assert!(error.to_string().contains("record 1 of 2"), "{error}");
    }
    assert_eq!(solo.append(batch(0, 200_000, Codec::Zstd)).unwrap(), 0);
}

#[test]
fn a_small_batch_that_expands_far_is_left_to_a_job() {
    let (_storage, solo) = open(config(Durability::Os));
    let mut builder = BatchBuilder::new(0);
    builder.push(None, Some(&vec![0; 4 << 20]), &[]);
    let plain = builder.build();
    let mut small = recompress(BatchHeader::parse(&plain).unwrap(), &plain, Codec::Zstd, 8 << 20).unwrap();
    assert!(small.len() < 10_000);
    assert_eq!(solo.log.append(&mut [&mut small]).taken, 0);
    assert_eq!(solo.append(small).unwrap(), 0);
}

#[test]
fn what_is_too_large_once_it_is_stored_is_refused() {
    // It comes again further away than other codecs look.
    let noise = batch(0, 70_000, Codec::None)[100..65_000].repeat(10);
    let mut builder = BatchBuilder::new(0);
    builder.push(None, Some(&noise), &[]);
    let plain = builder.build();
    let small = recompress(BatchHeader::parse(&plain).unwrap(), &plain, Codec::Zstd, 1 << 20).unwrap();
    assert!(small.len() < 100_000);
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
        for lz4_level in [9, 12] {
            let change = LogConfig { compression: Some(codec), lz4_level, ..config(Durability::Os) };
            let (_storage, solo) = open(LogConfig { max_batch_bytes: 100_000, ..change });
            let refused = solo.append(small.clone()).unwrap_err();
            assert_eq!(refused.code(), "VARVE_BATCH_TOO_LARGE");
            assert!(refused.to_string().ends_with("the log accepts at most 100000 bytes"), "{refused}");
            assert_eq!(solo.append(batch(1, 10_000, Codec::Zstd)).unwrap(), 0);
        }
    }
}

#[test]
fn a_roll_between_the_job_and_the_append_costs_a_second_job_and_nothing_else() {
    let change = LogConfig { segment_bytes: 120_000, ..config(Durability::Fsync) };
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, change).unwrap();
    for n in 0..6 {
        assert_eq!(solo.append(batch(n, 100_000, Codec::Lz4)).unwrap(), i64::from(n));
    }
    assert!(names(&storage, ".log").len() > 3);
    solo.close();
    let solo = Solo::open(&storage, change).unwrap();
    assert_eq!(solo.log.end_offset(), 6);
}

#[test]
fn a_log_that_closes_answers_those_who_wait() {
    let (_storage, solo) = open(config(Durability::Os));
    let mut waiting = batch(0, 200_000, Codec::Zstd);
    assert_eq!(solo.log.append(&mut [&mut waiting]).taken, 0);
    solo.drain();
    solo.log.close().unwrap();
    let refused = solo.log.append(&mut [&mut waiting]).results.pop().unwrap().unwrap_err();
    assert_eq!(refused.code(), "VARVE_LOG_CLOSED");
}
