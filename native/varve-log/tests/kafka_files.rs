//! The failure this guards against: a directory that Apache Kafka wrote does not open, or the files we write are not
//! what Kafka would have written for the same batches. The fixtures are partitions of a Kafka 4.4 broker.

mod simulation;

use simulation::kafka::storage_with;
use simulation::{LOGS, Solo, all, batch_of, config, file, names, segment_file};
use varve_log::sim::SimStorage;
use varve_log::{Access, Durability, LogConfig, Recovered, SliceRequest};
use varve_records::BatchHeader;

/// Directory, end offset, and the offsets at which its batches start.
const PARTITIONS: [(&str, i64, &[i64]); 4] = [
    ("fx-rdk-none-0", 12, &[0]),
    ("fx-headers-nulls-0", 8, &[0]),
    ("fx-java-lz4-0", 12, &[0]),
    ("fx-compacted-0", 25, &[18, 24]),
];

fn files(storage: &SimStorage, extension: &str) -> Vec<(String, Vec<u8>)> {
    let names = names(storage, extension).into_iter();
    names.map(|name| (name.clone(), storage.contents(&file(&name)).unwrap())).collect()
}

#[test]
fn partitions_open_and_slice_as_kafka_left_them() {
    for (partition, end, starts) in PARTITIONS {
        for closed in [true, false] {
            let storage = storage_with(partition, closed.then_some(end));
            let before = files(&storage, "");
            let solo = Solo::open(&storage, LogConfig::default()).unwrap();
            let recovered = (!closed).then_some(Recovered { end_offset: end, cut_bytes: 0 });
            assert_eq!((solo.log.recovered, solo.log.durable_offset()), (recovered, end), "{partition}");
            let mut bytes = Vec::new();
            let mut found = Vec::new();
            let mut from = 0;
            while from < end {
                let slice = solo.log.slice(SliceRequest { from, ..all() }, Access::Blocking).unwrap();
                let mut part = vec![0; slice.bytes as usize];
                slice.read(&mut part, 0, Access::Blocking).unwrap();
                found.push(BatchHeader::parse(&part).unwrap().base_offset);
                bytes.extend(part);
                from = slice.next_offset;
            }
            assert_eq!(found, starts, "{partition}");
            let stored: Vec<u8> = files(&storage, ".log").into_iter().flat_map(|(_, bytes)| bytes).collect();
            assert!(bytes == stored, "{partition}: what is stored is what is sent");
            solo.close();
            assert_eq!(files(&storage, ""), before, "{partition}: and every file is as Kafka had it");
        }
    }
}

#[test]
fn times_are_found_through_kafkas_index() {
    let storage = storage_with("fx-compacted-0", Some(25));
    let solo = Solo::open(&storage, LogConfig::default()).unwrap();
    let times = [(0, Some(18)), (1_795_452_201_346, Some(18)), (1_795_452_201_347, Some(24))];
    for (timestamp, batch) in times {
        assert_eq!(solo.log.batch_for_time(timestamp, 0).unwrap(), batch, "at {timestamp}");
    }
    assert_eq!(solo.log.batch_for_time(1_795_452_213_778, 0).unwrap(), None);
    assert_eq!(solo.log.batch_of_max_timestamp().unwrap(), Some(24));
}

#[test]
fn the_same_batches_give_the_same_files() {
    for (partition, end, _) in PARTITIONS.into_iter().filter(|(_, _, starts)| starts.len() == 1) {
        let kafka = storage_with(partition, None);
        let storage = SimStorage::new(1);
        let solo = Solo::open(&storage, LogConfig::default()).unwrap();
        solo.append(kafka.contents(&segment_file(0, "log")).unwrap()).unwrap();
        assert_eq!(solo.log.end_offset(), end);
        solo.close();
        assert_eq!(files(&storage, ""), files(&kafka, ""), "{partition}, {}", LOGS[0]);
    }
}

/// Kafka's `LogSegment.append`: an entry for a batch when more than the interval was written since the last one, with
/// the batch's last offset and its position; beside it the largest timestamp so far, where it has risen; and once more
/// when the segment closes.
#[test]
fn index_entries_follow_kafkas_rule() {
    let storage = SimStorage::new(1);
    let interval = 300;
    let log_config =
        LogConfig { index_interval_bytes: interval, segment_bytes: 2500, ..config(Durability::Fsync) };
    let solo = Solo::open(&storage, log_config).unwrap();
    for n in 0..60u64 {
        let value = vec![1; (n * 37 % 150) as usize];
        let timestamp = 1_700_000_000_000 + (n * 29 % 40) as i64;
        solo.append(batch_of(timestamp, &[&value, b"second"])).unwrap();
    }
    solo.close();
    let logs = files(&storage, ".log");
    assert!(logs.len() > 2);
    for (name, log) in logs {
        let base: i64 = name.trim_end_matches(".log").parse().unwrap();
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        let (mut position, mut since, mut max, mut last_time) = (0, 0, (-1, 0), -1);
        while position < log.len() {
            let header = BatchHeader::parse(&log[position..]).unwrap();
            let relative = (header.last_offset() - base) as u32;
            if header.max_timestamp > max.0 {
                max = (header.max_timestamp, relative);
            }
            if since > interval {
                offsets.extend([relative.to_be_bytes(), (position as u32).to_be_bytes()].concat());
                if max.0 > last_time {
                    times.extend([&max.0.to_be_bytes()[..], &max.1.to_be_bytes()].concat());
                    last_time = max.0;
                }
                since = 0;
            }
            position += header.total_bytes() as usize;
            since += header.total_bytes();
        }
        if max.0 > last_time {
            times.extend([&max.0.to_be_bytes()[..], &max.1.to_be_bytes()].concat());
        }
        assert_eq!(storage.contents(&segment_file(base, "index")).unwrap(), offsets, "{name}");
        assert_eq!(storage.contents(&segment_file(base, "timeindex")).unwrap(), times, "{name}");
    }
}
