//! The failure this guards against: a log takes a retry twice, acknowledges it before the original is durable, gives
//! readers of committed records what is undecided or aborted, or pays for producers where there are none.

mod simulation;

use std::fs;

use simulation::kafka::{fixture, storage_with};
use simulation::{EPOCH_MS, Solo, config, edit, file, names, read_batches, segment_file};
use varve_log::producer_snapshot::encode;
use varve_log::sim::{SimStorage, Survival};
use varve_log::storage::Storage;
use varve_log::transactions::AbortedTransaction;
use varve_log::{Access, CleanupPolicy, Durability, LogConfig, LogError};
use varve_records::{BatchBuilder, BatchHeader, EndTransactionMarker};

fn unforgetting(durability: Durability) -> LogConfig {
    LogConfig { producer_id_expiration_ms: i64::MAX, ..config(durability) }
}

fn idempotent(sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(EPOCH_MS);
    builder.push(None, Some(&[1; 40]), &[]);
    builder.idempotent(7, 0, sequence);
    builder.build()
}

fn transactional(producer_id: i64, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(EPOCH_MS);
    builder.push(None, Some(&[2; 40]), &[]);
    builder.transactional(producer_id, 0, sequence);
    builder.build()
}

fn marker(producer_id: i64, committed: bool) -> Vec<u8> {
    EndTransactionMarker { committed, coordinator_epoch: 0, timestamp: EPOCH_MS }.to_batch(producer_id, 0)
}

fn aborted(solo: &Solo) -> Vec<AbortedTransaction> {
    solo.log.aborted_transactions(0, i64::MAX, Access::Blocking).unwrap()
}

/// What Kafka's tool and README say of each partition: end, last stable offset, aborted ranges.
type Kafkas = (&'static str, i64, i64, &'static [(i64, i64, i64)]);
const PARTITIONS: [Kafkas; 4] = [
    ("fx-idempotent-0", 12, 12, &[]),
    ("fx-txn-0", 16, 16, &[(1, 3, 4), (1, 5, 10)]),
    ("fx-java-txn-0", 8, 8, &[]),
    ("fx-txn-open-0", 1, 0, &[]),
];

/// Without the checksum, which is over what we add as well.
fn kafkas_part(snapshot: &[u8]) -> &[u8] {
    let count = i32::from_be_bytes(snapshot[6..10].try_into().unwrap());
    &snapshot[6..10 + 46 * count as usize]
}

#[test]
fn partitions_of_kafka_open_with_their_producers_and_transactions() {
    type Damage = fn(&SimStorage, i64);
    let damages: [(&str, Damage); 5] = [
        ("whole", |_, _| {}),
        ("without its snapshot", |storage, end| storage.remove(&segment_file(end, "snapshot")).unwrap()),
        ("with a torn snapshot", |storage, end| {
            edit(storage, &segment_file(end, "snapshot"), |bytes| bytes.truncate(bytes.len() / 2));
        }),
        ("with a snapshot of later batches", |storage, end| {
            let later = storage.contents(&segment_file(end, "snapshot")).unwrap();
            edit(storage, &segment_file(end + 5, "snapshot"), |bytes| *bytes = later);
        }),
        ("with a torn transaction index", |storage, _| {
            if let Some(bytes) = storage.contents(&segment_file(0, "txnindex")) {
                edit(storage, &segment_file(0, "txnindex"), |torn| *torn = bytes[..40].to_vec());
            }
        }),
    ];
    for (partition, end, stable, ranges) in PARTITIONS {
        let kafkas_snapshot = fs::read(fixture(partition).join(format!("{end:020}.snapshot"))).unwrap();
        let kafkas = kafkas_part(&kafkas_snapshot);
        for closed in [true, false] {
            for (name, damage) in &damages {
                let context = format!("{partition} {name}, closed: {closed}");
                let storage = storage_with(partition, closed.then_some(end));
                damage(&storage, end);
                let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
                assert_eq!(solo.log.end_offset(), end, "{context}");
                assert_eq!(solo.log.last_stable_offset(), stable, "{context}");
                let found: Vec<(i64, i64, i64)> = aborted(&solo)
                    .iter()
                    .map(|one| (one.producer_id, one.first_offset, one.last_offset))
                    .collect();
                assert_eq!(found, ranges, "{context}");
                assert_eq!(kafkas_part(&encode(solo.log.producers().iter())), kafkas, "{context}");
                solo.close();
                let snapshot = storage.contents(&segment_file(end, "snapshot")).unwrap();
                assert_eq!(kafkas_part(&snapshot), kafkas, "{context}: and Kafka finds its own again");
                assert_eq!(storage.contents(&segment_file(end + 5, "snapshot")), None, "{context}");
            }
        }
    }
}

#[test]
fn readers_of_committed_records_see_what_a_consumer_of_kafka_sees() {
    let storage = storage_with("fx-txn-0", Some(16));
    let solo = Solo::open(&storage, LogConfig::default()).unwrap();
    let log = storage.contents(&segment_file(0, "log")).unwrap();
    let aborted = aborted(&solo);
    let (mut at, mut offsets) = (0, Vec::new());
    while at < log.len() {
        let header = BatchHeader::parse(&log[at..]).unwrap();
        at += header.total_bytes() as usize;
        let is_aborted = aborted.iter().any(|one| {
            let range = one.first_offset..=one.last_offset;
            header.is_transactional()
                && one.producer_id == header.producer_id
                && range.contains(&header.base_offset)
        });
        if !header.is_control() && !is_aborted {
            offsets.extend(header.base_offset..header.next_offset());
        }
    }
    assert_eq!(offsets, [0, 1, 6, 7, 11, 12, 14]);
}

#[test]
fn a_retry_is_answered_with_its_offset_and_covered_by_the_flush_of_the_original() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    assert_eq!(solo.append(idempotent(0)).unwrap(), 0);
    assert_eq!(solo.append(idempotent(0)).unwrap(), 0);
    assert_eq!((solo.log.end_offset(), solo.log.durable_offset()), (1, 0), "written, and not durable");
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 1);
    let refused = solo.append(idempotent(5)).unwrap_err();
    assert_eq!(refused.code(), "VARVE_OUT_OF_ORDER_SEQUENCE");
    assert!(refused.to_string().contains("/srv/data/orders-0"), "{refused}");
    assert_eq!(solo.append(idempotent(1)).unwrap(), 1, "a refusal changes nothing");
}

#[test]
fn batches_of_one_call_see_each_other() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Os)).unwrap();
    let mut batches =
        [idempotent(0), idempotent(0), idempotent(2), idempotent(1), transactional(8, 0), marker(8, false)];
    let mut offered: Vec<&mut [u8]> = batches.iter_mut().map(Vec::as_mut_slice).collect();
    let results = solo.log.append(&mut offered).results;
    let told: Vec<std::result::Result<i64, &str>> =
        results.iter().map(|result| result.as_ref().copied().map_err(LogError::code)).collect();
    assert_eq!(told, [Ok(0), Ok(0), Err("VARVE_OUT_OF_ORDER_SEQUENCE"), Ok(1), Ok(2), Ok(3)]);
    assert_eq!(aborted(&solo).len(), 1);
}

#[test]
fn a_write_that_fails_neither_ends_a_transaction_nor_moves_a_sequence() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Os)).unwrap();
    solo.append(transactional(8, 0)).unwrap();
    let before = solo.log.producers();
    storage.fail_at(storage.operation_count() + 1, 5);
    assert_eq!(solo.append(marker(8, true)).unwrap_err().code(), "VARVE_LOG_FAILED");
    assert_eq!(solo.log.producers(), before);
    assert_eq!(solo.log.last_stable_offset(), 0);
}

#[test]
fn a_marker_counts_once_it_is_durable_and_once_it_is_replicated() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    solo.append(transactional(8, 0)).unwrap();
    solo.drain();
    solo.append(marker(8, true)).unwrap();
    assert_eq!(solo.log.last_stable_offset(), 0, "a power loss may still take the marker");
    solo.drain();
    assert_eq!(solo.log.last_stable_offset(), 2);
    solo.log.set_high_watermark(2);
    solo.append(transactional(8, 1)).unwrap();
    solo.append(marker(8, true)).unwrap();
    solo.drain();
    for (high_watermark, stable) in [(2, 2), (3, 2), (4, 4)] {
        solo.log.set_high_watermark(high_watermark);
        assert_eq!(solo.log.last_stable_offset(), stable, "at {high_watermark}");
    }
}

#[test]
fn aborts_are_found_across_segments_and_openings() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    for sequence in 0..12 {
        solo.append(transactional(8, sequence)).unwrap();
        solo.append(transactional(9, sequence)).unwrap();
        if sequence % 3 == 2 {
            solo.append(marker(8, sequence % 2 == 0)).unwrap();
            solo.append(marker(9, false)).unwrap();
        }
    }
    solo.drain();
    assert!(names(&storage, ".log").len() > 3);
    let found = aborted(&solo);
    assert_eq!(found.len(), 6);
    let middle = found[2];
    let between = solo.log.aborted_transactions(middle.first_offset, middle.last_offset, Access::Blocking);
    assert!(between.unwrap().contains(&middle));
    assert_eq!(solo.log.aborted_transactions(0, 1, Access::Blocking).unwrap().len(), 0);
    assert_eq!(solo.log.aborted_transactions(0, 2, Access::Blocking).unwrap().len(), 1);
    solo.close();
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    let cold = solo.log.aborted_transactions(0, i64::MAX, Access::Cached);
    assert!(matches!(cold, Err(LogError::WouldBlock)), "the indexes of sealed segments are on disk");
    assert_eq!(aborted(&solo), found);
    // An index that is no index is built again, also where its transactions began in segments before.
    drop(solo);
    let indexes = names(&storage, ".txnindex");
    assert!(indexes.len() > 1, "{indexes:?}");
    for index in &indexes {
        edit(&storage, &file(index), |bytes| bytes[0] = 9);
    }
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    assert_eq!(aborted(&solo), found);
}

#[test]
fn every_segment_has_a_snapshot_that_goes_with_it() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    for sequence in 0..40 {
        solo.append(idempotent(sequence)).unwrap();
    }
    solo.log.request_flush().unwrap();
    solo.drain();
    let bases = |extension: &str| -> Vec<String> {
        let names = names(&storage, extension);
        names.iter().map(|name| name[..20].to_string()).filter(|name| *name != format!("{:020}", 0)).collect()
    };
    assert_eq!(bases(".snapshot"), bases(".log"));
    assert!(bases(".log").len() > 2);
    let before = solo.log.producers();
    assert_eq!(solo.answer(|log, answer| log.delete_before(25, answer)).unwrap(), 25);
    assert_eq!(bases(".snapshot"), bases(".log"));
    assert_eq!(solo.answer(|log, answer| log.truncate_to(35, answer)).unwrap(), 35);
    assert!(bases(".snapshot").iter().all(|base| bases(".log").contains(base)));
    assert_ne!(solo.log.producers(), before);
    assert_eq!(solo.append(idempotent(34)).unwrap(), 34, "what is left is remembered");
    assert_eq!(solo.append(idempotent(35)).unwrap(), 35, "what was cut off is not");
    solo.close();
    let end = format!("{:020}", 36);
    assert_eq!(bases(".snapshot").last(), Some(&end), "and one at the end");
}

/// The operations of a storage since a number of them, as they are called in messages.
fn operations_since(storage: &SimStorage, before: u64) -> Vec<String> {
    let operations = storage.operations().into_iter().filter(|operation| operation.number > before);
    operations.map(|operation| operation.to_string()).collect()
}

#[test]
fn a_log_without_producers_pays_one_small_write_when_it_closes_and_nothing_when_it_is_idle() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    solo.append_all(&["a", "b"]);
    let before = storage.operation_count();
    solo.close();
    let operations = operations_since(&storage, before);
    let of_snapshots: Vec<&String> = operations.iter().filter(|one| one.contains(".snapshot")).collect();
    assert_eq!(of_snapshots.len(), 2, "created and written, not flushed: {of_snapshots:?}");
    let directory_syncs = operations.iter().filter(|one| one.ends_with("sync directory /srv/data/orders-0"));
    assert_eq!(directory_syncs.count(), 1, "of the leader epochs: {operations:?}");
    let before = storage.operation_count();
    Solo::open(&storage, config(Durability::Fsync)).unwrap().close();
    let operations = operations_since(&storage, before);
    assert!(
        operations.iter().all(|one| !one.contains("orders-0")),
        "an idle log changes nothing: {operations:?}"
    );
}

#[test]
fn a_retry_of_one_of_the_last_five_batches_is_known_after_a_restart() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    (0..8).for_each(|sequence| assert_eq!(solo.append(idempotent(sequence)).unwrap(), sequence.into()));
    solo.close();
    let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
    (3..8).for_each(|sequence| assert_eq!(solo.append(idempotent(sequence)).unwrap(), sequence.into()));
    assert_eq!(solo.append(idempotent(2)).unwrap_err().code(), "VARVE_OUT_OF_ORDER_SEQUENCE");
}

#[test]
fn nothing_is_left_of_a_snapshot_that_could_not_be_written() {
    let written = || {
        let storage = SimStorage::new(1);
        let solo = Solo::open(&storage, unforgetting(Durability::Fsync)).unwrap();
        (0..3).for_each(|sequence| assert_eq!(solo.append(idempotent(sequence)).unwrap(), sequence.into()));
        solo.drain();
        (storage, solo)
    };
    let (storage, solo) = written();
    let before = storage.operation_count();
    solo.close();
    let is_write = |one: &String| one.contains("write") && one.contains(".snapshot");
    let at = operations_since(&storage, before).iter().position(is_write).unwrap() as u64;
    assert_eq!(names(&storage, ".snapshot").len(), 1);

    let (storage, solo) = written();
    const ENOSPC: i32 = 28;
    storage.fail_at(before + 1 + at, ENOSPC);
    let refused = solo.log.close().unwrap_err();
    assert!(refused.to_string().contains(".snapshot"), "{refused}");
    assert_eq!(names(&storage, ".snapshot"), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_did_not_reach_the_disk_is_found_out_from_the_log() {
    for survival in [Survival::Nothing, Survival::Everything, Survival::Subset, Survival::Torn] {
        let storage = SimStorage::new(1);
        let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
        solo.append_all(&["a", "b"]);
        solo.close();
        let storage = storage.power_loss(survival, 3);
        let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
        assert_eq!(solo.log.recovered, None, "{survival:?}: it was closed");
        assert_eq!(solo.values(), ["a", "b"]);
        assert!(solo.log.producers().is_empty());
    }
}

/// A leader whose log another one has led, and a producer that it does not know, in the midst of its sequence.
#[test]
fn a_batch_does_not_overtake_the_first_of_its_producer_that_went_to_the_leader_before() {
    type Deed = fn(&Solo);
    let keyed = || {
        let mut builder = BatchBuilder::new(EPOCH_MS);
        builder.push(Some(b"key"), Some(&[1; 40]), &[]);
        builder
    };
    let by_producer = |sequence: i32| {
        let mut builder = keyed();
        builder.idempotent(7, 0, sequence);
        builder.build()
    };
    let nothing: Deed = |_| {};
    let compacting = LogConfig { cleanup_policy: CleanupPolicy::Compact, ..config(Durability::Os) };
    let cases: [(&str, LogConfig, Deed, i32, Option<i64>); 8] = [
        ("it cannot have been here", config(Durability::Os), nothing, 5, None),
        ("it begins", config(Durability::Os), nothing, 0, Some(1)),
        (
            "the log is empty",
            config(Durability::Os),
            |solo| {
                solo.answer(|log, answer| log.truncate_to(0, answer)).unwrap();
            },
            5,
            None,
        ),
        ("the log has been told of nothing but its batches", unforgetting(Durability::Os), nothing, 5, None),
        (
            "its records may have been deleted",
            config(Durability::Os),
            |solo| {
                solo.answer(|log, answer| log.delete_before(1, answer)).unwrap();
            },
            5,
            Some(1),
        ),
        ("its records may have been compacted", compacting, nothing, 5, Some(1)),
        (
            "it may have been idle for a day",
            config(Durability::Os),
            |solo| {
                solo.runner.advance(std::time::Duration::from_secs(86_400));
            },
            5,
            Some(1),
        ),
        (
            "it may have been among those that have been forgotten",
            config(Durability::Os),
            |solo| {
                let mut old = BatchBuilder::new(EPOCH_MS - 90_000_000);
                old.push(None, Some(&[1; 40]), &[]);
                old.idempotent(9, 0, 0);
                solo.append(old.build()).unwrap();
                solo.runner.advance(std::time::Duration::from_secs(700));
                assert!(solo.log.producers().is_empty());
            },
            5,
            Some(2),
        ),
    ];
    for (name, log_config, deed, sequence, taken) in cases {
        for reopened in [false, true] {
            let storage = SimStorage::new(1);
            let mut solo = Solo::open(&storage, log_config).unwrap();
            solo.append(keyed().build()).unwrap();
            solo.log.request_flush().unwrap();
            solo.drain();
            if reopened {
                solo.close();
                solo = Solo::open(&storage, log_config).unwrap();
            }
            solo.log.set_leader_epoch(1).unwrap();
            deed(&solo);
            match (solo.append(by_producer(sequence)), taken) {
                (Ok(offset), Some(expected)) => assert_eq!(offset, expected, "{name}"),
                (Err(refused), None) => assert_eq!(refused.code(), "VARVE_OUT_OF_ORDER_SEQUENCE", "{name}"),
                (result, _) => panic!("{name}: {result:?}"),
            }
            if taken.is_none() {
                let first = solo.log.end_offset();
                assert_eq!(solo.append(by_producer(0)).unwrap(), first, "{name}: the first comes after all");
            }
        }
    }
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    assert_eq!(solo.append(by_producer(5)).unwrap(), 0, "the topic may be another one of the same name");
}

#[test]
fn idle_producers_are_forgotten_while_the_log_is_open_and_when_it_opens() {
    let day = std::time::Duration::from_secs(86_400);
    let storage = SimStorage::new(1);
    let log_config = config(Durability::Os);
    let solo = Solo::open(&storage, log_config).unwrap();
    solo.append(idempotent(0)).unwrap();
    solo.append(transactional(8, 0)).unwrap();
    solo.runner.advance(day);
    solo.append(transactional(9, 0)).unwrap();
    let left: Vec<i64> = solo.log.producers().iter().map(|producer| producer.producer_id).collect();
    assert_eq!(left, [8, 9], "by the clock the one of a transaction is as old, and stays");
    assert_eq!(solo.append(idempotent(77)).unwrap(), 3, "who is forgotten may start anywhere");
    solo.close();
    let forgetful = LogConfig { producer_id_expiration_ms: 0, ..log_config };
    let solo = Solo::open(&storage, forgetful).unwrap();
    let left: Vec<i64> = solo.log.producers().iter().map(|producer| producer.producer_id).collect();
    assert_eq!(left, [8, 9]);
}

#[test]
fn who_writes_no_more_is_forgotten_by_a_log_that_nobody_writes_to() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    solo.append(idempotent(0)).unwrap();
    solo.runner.advance(std::time::Duration::from_secs(86_000));
    assert_eq!(solo.log.producers().len(), 1);
    solo.runner.advance(std::time::Duration::from_secs(600));
    assert!(solo.log.producers().is_empty());
    solo.append(idempotent(0)).unwrap();
    solo.close();
    // By the times of its batches it is as old already, and the clock of this run begins anew.
    let remembering = LogConfig { producer_id_expiration_ms: 2 * 86_400_000, ..config(Durability::Os) };
    let solo = Solo::open(&storage, remembering).unwrap();
    assert_eq!(solo.log.producers().len(), 1);
    solo.runner.advance(std::time::Duration::from_secs(2 * 86_400));
    assert!(solo.log.producers().is_empty(), "the one of a snapshot as well");
}

#[test]
fn what_comes_from_the_leader_is_not_judged_again() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, unforgetting(Durability::Os)).unwrap();
    let replicate = |mut batch: Vec<u8>, offset: i64| {
        varve_records::assign_offset(&mut batch, offset);
        varve_records::assign_epoch(&mut batch, 0);
        solo.log.append_replicated(&mut [&mut batch]).results.pop().unwrap()
    };
    // The leader knew the producer from batches that were deleted, or compacted away, since.
    assert_eq!(replicate(idempotent(10), 0).unwrap(), 0);
    assert_eq!(replicate(idempotent(20), 5).unwrap(), 5);
    assert_eq!(replicate(transactional(8, 0), 6).unwrap(), 6);
    assert_eq!(solo.log.last_stable_offset(), 6);
    assert_eq!(replicate(marker(8, false), 9).unwrap(), 9);
    assert_eq!(aborted(&solo).len(), 1);
    assert_eq!(solo.append(idempotent(20)).unwrap(), 5, "a new leader knows its predecessor's retries");
}

#[test]
fn a_compaction_goes_no_further_than_what_is_decided_and_takes_aborted_records_away() {
    let storage = SimStorage::new(1);
    let log_config = LogConfig {
        cleanup_policy: CleanupPolicy::Compact,
        min_cleanable_dirty_ratio: 0.0,
        ..unforgetting(Durability::Fsync)
    };
    let solo = Solo::open(&storage, log_config).unwrap();
    let keyed = |producer_id: i64, sequence: i32| {
        let mut builder = BatchBuilder::new(EPOCH_MS);
        builder.push(Some(format!("key {producer_id}.{sequence}").as_bytes()), Some(&[3; 60]), &[]);
        builder.transactional(producer_id, 0, sequence);
        builder.build()
    };
    solo.append(keyed(1, 0)).unwrap();
    let compact = || {
        solo.log.request_flush().unwrap();
        solo.drain();
        solo.answer(|log, answer| log.compact(answer)).unwrap()
    };
    for sequence in 0..20 {
        solo.append(keyed(2, sequence)).unwrap();
    }
    solo.append(marker(2, false)).unwrap();
    assert_eq!(compact(), 0, "a transaction is open from the start on");
    solo.append(marker(1, true)).unwrap();
    for sequence in 20..40 {
        solo.append(keyed(2, sequence)).unwrap();
    }
    solo.append(marker(2, true)).unwrap();
    assert!(compact() > 22, "all of it is decided");
    let stored = read_batches(&solo.log).unwrap().into_iter().map(|(header, _)| header);
    let records = stored.filter(|header| !header.is_control() && header.records_count > 0);
    let offsets: Vec<i64> = records.map(|header| header.base_offset).collect();
    let expected: Vec<i64> = [0].into_iter().chain(23..43).collect();
    assert_eq!(offsets, expected, "what was committed, and nothing of what was aborted");
    assert_eq!(solo.append(keyed(2, 39)).unwrap(), 42, "a retry is known as one");
}
