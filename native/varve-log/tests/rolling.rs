//! The failure this guards against: a segment grows beyond what its index can point into, or a roll loses the batches
//! that wait for it.

mod simulation;

use simulation::{Solo, batch_of, config, names, segment_file};
use varve_log::sim::SimStorage;
use varve_log::{APPEND_BYTES, Durability, LogConfig, Phase};
use varve_records::{BatchHeader, BatchValidation, seal};

fn open(config: LogConfig) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config).unwrap();
    (storage, solo)
}

fn sizes(storage: &SimStorage) -> Vec<(String, usize)> {
    let files = names(storage, ".log").into_iter();
    files.map(|name| (name.clone(), storage.contents(&simulation::file(&name)).unwrap().len())).collect()
}

#[test]
fn a_segment_is_rolled_before_it_grows_beyond_its_size() {
    let batch = || batch_of(0, &[&[1; 100]]);
    let bytes = batch().len();
    let (storage, solo) = open(LogConfig { segment_bytes: 2 * bytes as u64, ..config(Durability::Os) });
    for offset in 0..5 {
        assert_eq!(solo.append(batch()).unwrap(), offset);
    }
    let expected =
        [(0, 2), (2, 2), (4, 1)].map(|(base, batches)| (format!("{base:020}.log"), batches * bytes));
    assert_eq!(sizes(&storage), expected);
}

#[test]
fn a_batch_larger_than_a_segment_has_one_for_itself() {
    let (storage, solo) = open(LogConfig { segment_bytes: 200, ..config(Durability::Fsync) });
    for value in ["small", &"large".repeat(200), "small"] {
        solo.append(batch_of(0, &[value.as_bytes()])).unwrap();
    }
    solo.drain();
    assert_eq!((sizes(&storage).len(), solo.log.durable_offset()), (3, 3));
    assert_eq!(solo.values()[1], "large".repeat(200));
}

#[test]
fn batches_that_meet_a_roll_are_offered_again_and_lose_no_offset() {
    let (_storage, solo) = open(LogConfig { segment_bytes: 200, ..config(Durability::Fsync) });
    let mut batches: Vec<Vec<u8>> = (0..6).map(|n| batch_of(0, &[&[n; 60]])).collect();
    let (mut offered, mut offsets) = (0, Vec::new());
    while offered < batches.len() {
        let mut rest: Vec<&mut [u8]> = batches[offered..].iter_mut().map(Vec::as_mut_slice).collect();
        let appended = solo.log.append(&mut rest);
        assert_eq!(appended.results.len(), appended.taken);
        offsets.extend(appended.results.into_iter().map(Result::unwrap));
        offered += appended.taken;
        if offered < batches.len() {
            assert!(matches!(solo.log.phase(), Phase::Rolling), "{:?}", solo.log.phase());
            let (taken, waiting) = (solo.log.append(&mut [&mut batches[5]]).taken, solo.runner.waiting());
            assert_eq!((taken, waiting), (0, solo.runner.waiting()), "a roll is asked for once");
            solo.drain();
        }
    }
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5]);
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 6);
}

#[test]
fn a_call_stops_when_it_has_written_enough() {
    let (_storage, solo) =
        open(LogConfig { max_batch_bytes: 8 << 20, segment_bytes: 1 << 30, ..config(Durability::Os) });
    let large = vec![7; APPEND_BYTES / 4 + 1];
    let mut batches: Vec<Vec<u8>> = (0..5).map(|_| batch_of(0, &[&large])).collect();
    let mut all: Vec<&mut [u8]> = batches.iter_mut().map(Vec::as_mut_slice).collect();
    assert_eq!(solo.log.append(&mut all).taken, 3);
    assert_eq!(solo.log.append(&mut all[3..]).taken, 2);
    let mut huge = batch_of(0, &[&vec![7; APPEND_BYTES + 1]]);
    assert_eq!(solo.log.append(&mut [&mut huge]).taken, 1, "one is always taken");
}

#[test]
fn a_segment_is_rolled_before_its_offsets_outgrow_the_index() {
    // Nobody counts the records, which need not be there then.
    let batch_validation = BatchValidation::Header;
    let (storage, solo) =
        open(LogConfig { batch_validation, segment_bytes: 1 << 20, ..config(Durability::Os) });
    let records = 1_500_000_000;
    let mut batch = batch_of(0, &[b"one of many, says the header"]);
    batch[23..27].copy_from_slice(&(records - 1i32).to_be_bytes());
    batch[57..61].copy_from_slice(&records.to_be_bytes());
    seal(&mut batch);
    for n in 0..3 {
        assert_eq!(solo.append(batch.clone()).unwrap(), n * i64::from(records));
    }
    assert_eq!(names(&storage, ".log").len(), 3);
    solo.close();
    let solo = Solo::open(&storage.process_crash(), config(Durability::Os)).unwrap();
    assert_eq!(solo.log.end_offset(), 3 * i64::from(records));
}

#[test]
fn a_segment_never_outgrows_the_positions_of_its_index() {
    let (_storage, solo) = open(LogConfig { segment_bytes: u64::MAX, ..config(Durability::Os) });
    assert_eq!(solo.log.config().segment_bytes, i32::MAX as u64);
}

#[test]
fn a_roll_that_fails_closes_the_log_for_writes() {
    for operation in 1..=3 {
        let (storage, solo) = open(LogConfig { segment_bytes: 200, ..config(Durability::Fsync) });
        solo.append_all(&[&"0".repeat(100)]);
        let mut batch = batch_of(0, &["1".repeat(100).as_bytes()]);
        assert_eq!(solo.log.append(&mut [&mut batch]).taken, 0);
        storage.fail_at(storage.operation_count() + operation, 28);
        solo.drain();
        let error = solo.append(batch).unwrap_err();
        assert_eq!((error.code(), error.os_error()), ("VARVE_LOG_FAILED", Some(28)));
        assert!(error.to_string().contains("00000000000000000001."), "{error}");
        assert_eq!(solo.values().len(), 1);
    }
}

#[test]
fn the_epoch_and_offset_of_a_batch_are_assigned_in_place_and_its_checksum_still_holds() {
    let (storage, solo) = open(config(Durability::Os));
    solo.append(batch_of(0, &[b"zero"])).unwrap();
    solo.log.set_leader_epoch(7).unwrap();
    let mut batch = batch_of(0, &[b"one"]);
    solo.log.append(&mut [&mut batch]);
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (1, 7));
    assert!(header.crc_matches(&batch));
    assert!(
        storage.contents(&segment_file(0, "log")).unwrap().ends_with(&batch),
        "what is stored is what is sent"
    );
}

/// Each segment that is not flushed keeps a file open, and a flush of many takes longer than to roll that often again.
#[test]
fn appends_wait_for_a_flush_that_falls_behind_the_rolls() {
    let (_storage, solo) = open(LogConfig { segment_bytes: 200, ..config(Durability::Os) });
    let append = || solo.log.append(&mut [&mut batch_of(0, &[&[1; 150]])]).taken == 1;
    let mut rolls = 0;
    loop {
        while append() {}
        let (jobs, _) = solo.runner.waiting();
        if rolls > 0 && jobs == 1 {
            break;
        }
        // The next segment is prepared; the flush that the first roll asked for does not get its turn.
        solo.runner.execute_nth(jobs - 1);
        solo.runner.publish();
        rolls += 1;
        assert!(rolls < 100, "the rolls wait for nothing");
    }
    assert!(rolls > 10, "{rolls} rolls");
    assert!(matches!(solo.log.phase(), Phase::Rolling) && !append());
    solo.runner.execute();
    solo.runner.publish();
    assert!(matches!(solo.log.phase(), Phase::Open) && append());
    solo.close();
}
