//! The failure this guards against: the producers and transactions of a partition that Kafka wrote are read otherwise than
//! Kafka reads them, or their files are written otherwise. Kafka's own DumpLogSegments said what is expected.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use varve_log::producer_snapshot::{decode, encode};
use varve_log::producer_state_manager::ProducerStateManager;
use varve_log::transactions::AbortedTransaction;
use varve_log::txn_index::TransactionIndex;
use varve_records::{BatchHeader, EndTransactionMarker};

/// Every file of the fixture with this extension.
fn files(partition: &Path, extension: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(partition).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut partitions: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    partitions.sort();
    partitions
}

/// The lines of the tool about a file, each as its `name: value` pairs.
fn dumped(partition: &Path, file: &Path) -> Vec<BTreeMap<String, String>> {
    let name = file.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(partition.join("dump-index.txt")).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.ends_with(name)).skip(1);
    let lines = std::iter::from_fn(|| lines.next().filter(|line| !line.starts_with("Dumping ")));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.chunks(2).map(|pair| (pair[0].trim_end_matches(':').into(), pair[1].into())).collect()
        })
        .collect()
}

fn number(line: &BTreeMap<String, String>, name: &str) -> Option<i64> {
    let digits = line.get(name)?.trim_start_matches("OptionalLong[").trim_end_matches(']');
    digits.parse().ok()
}

/// The state and the index after all batches of the partition's segments.
fn replayed(partition: &Path) -> (ProducerStateManager, TransactionIndex) {
    let mut manager = ProducerStateManager::default();
    let mut index = TransactionIndex::default();
    for (_, log) in files(partition, "log") {
        let mut at = 0;
        while at < log.len() {
            let header = BatchHeader::parse(&log[at..]).unwrap();
            let batch = &log[at..at + header.total_bytes() as usize];
            let marker = EndTransactionMarker::parse(batch);
            manager.replay(&header, marker.as_ref()).into_iter().for_each(|aborted| index.push(aborted));
            at += batch.len();
        }
    }
    (manager, index)
}

#[test]
fn snapshots_are_read_as_kafka_reads_them() {
    let mut seen = 0;
    for partition in fixtures().iter().filter(|partition| partition.join("dump-index.txt").exists()) {
        for (file, bytes) in files(partition, "snapshot") {
            let producers = decode(&bytes).unwrap();
            let lines = dumped(partition, &file);
            assert_eq!(producers.len(), lines.len(), "{}", file.display());
            for (producer, line) in producers.iter().zip(&lines) {
                let batch = producer.last_batch();
                let found = [
                    ("producerId", Some(producer.producer_id)),
                    ("producerEpoch", Some(producer.producer_epoch.into())),
                    ("coordinatorEpoch", Some(producer.coordinator_epoch.into())),
                    ("currentTxnFirstOffset", producer.current_txn_first_offset),
                    ("lastTimestamp", Some(producer.last_timestamp)),
                    ("lastSequence", batch.map(|batch| batch.last_sequence.into())),
                    ("lastOffset", batch.map(|batch| batch.last_offset)),
                    ("offsetDelta", batch.map(|batch| batch.offset_delta.into())),
                ];
                for (name, value) in found {
                    assert_eq!(value, number(line, name), "{name} in {}", file.display());
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 5, "producers in all fixtures with a dump");
}

/// Without the checksum, which is over what we add as well.
fn kafkas_part(snapshot: &[u8]) -> &[u8] {
    let count = i32::from_be_bytes(snapshot[6..10].try_into().unwrap());
    &snapshot[6..10 + 46 * count as usize]
}

#[test]
fn the_batches_of_a_partition_imply_its_snapshot_to_the_byte() {
    let mut seen = 0;
    for partition in fixtures() {
        let snapshots = files(&partition, "snapshot");
        let Some((file, bytes)) = snapshots.last() else { continue };
        let (manager, _) = replayed(&partition);
        assert_eq!(kafkas_part(&encode(manager.producers())), kafkas_part(bytes), "{}", file.display());
        let read = ProducerStateManager::from_snapshot(decode(bytes).unwrap());
        assert_eq!(&encode(read.producers()), bytes, "{}", file.display());
        seen += 1;
    }
    assert!(seen >= 4, "{seen} fixtures have a snapshot");
}

#[test]
fn the_batches_of_a_partition_imply_its_transaction_index_to_the_byte() {
    for partition in fixtures() {
        let (_, index) = replayed(&partition);
        let Some((file, bytes)) = files(&partition, "txnindex").pop() else {
            assert!(index.is_empty(), "{}", partition.display());
            continue;
        };
        assert_eq!(index.to_bytes(), bytes, "{}", file.display());
        assert_eq!(TransactionIndex::parse(0, &bytes), Some(index), "{}", file.display());
        let mut found = Vec::new();
        TransactionIndex::parse(0, &bytes).unwrap().collect(0, i64::MAX, &mut found);
        let lines = dumped(&partition, &file);
        assert_eq!(found.len(), lines.len(), "{}", file.display());
        for (aborted, line) in found.iter().zip(lines) {
            let expected = AbortedTransaction {
                producer_id: number(&line, "producerId").unwrap(),
                first_offset: number(&line, "firstOffset").unwrap(),
                last_offset: number(&line, "lastOffset").unwrap(),
                last_stable_offset: number(&line, "lastStableOffset").unwrap(),
            };
            assert_eq!(*aborted, expected, "{}", file.display());
        }
    }
}

/// The last stable offset that Kafka's README of the fixtures, or its end, says.
#[test]
fn an_open_transaction_holds_the_last_stable_offset_back() {
    let fixture =
        |name: &str| replayed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).0;
    assert_eq!(fixture("fx-txn-open-0").last_stable_offset(1, 0), 0);
    let closed = fixture("fx-txn-0");
    assert_eq!(closed.last_stable_offset(16, 0), 16);
    // Its markers stand at 2, 4, 9, 10, 13 and 15; below them their transactions are undecided.
    let stable = [(15, 14), (14, 14), (13, 12), (12, 12), (11, 11), (10, 5), (9, 5), (5, 5), (4, 3), (2, 0)];
    for (high_watermark, expected) in stable {
        assert_eq!(closed.last_stable_offset(high_watermark, 0), expected, "at {high_watermark}");
    }
    assert_eq!(closed.last_stable_offset(10, 7), 7, "the log's start limits it");
}
