//! Logs of keys and values: what was written to them, and what compaction must leave of it.

#![allow(dead_code, reason = "every test file takes what it needs")]

use std::collections::BTreeMap;

use varve_log::{CleanupPolicy, Durability, Log, LogConfig, LogError};
use varve_records::{BatchBuilder, BatchRecords};

use super::simulation::{EPOCH_MS, Solo, config, read_batches};

pub const DELETE_RETENTION_MS: i64 = 10_000;

pub fn compacted(durability: Durability) -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy::Compact,
        delete_retention_ms: DELETE_RETENTION_MS,
        min_cleanable_dirty_ratio: 0.0,
        ..config(durability)
    }
}

/// A record as it was written, or as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub offset: i64,
    pub key: String,
    pub value: Option<String>,
}

pub type Pair = (String, Option<String>);

/// A batch of these records.
pub fn batch_of(pairs: &[Pair]) -> Vec<u8> {
    batch_at(EPOCH_MS, pairs)
}

pub fn batch_at(timestamp: i64, pairs: &[Pair]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp);
    for (key, value) in pairs {
        builder.push(Some(key.as_bytes()), value.as_deref().map(str::as_bytes), &[]);
    }
    builder.build()
}

pub fn pair(key: &str, value: &str) -> Pair {
    (key.into(), Some(value.into()))
}

pub fn tombstone(key: &str) -> Pair {
    (key.into(), None)
}

pub fn put(solo: &Solo, pairs: &[Pair]) -> i64 {
    solo.append(batch_of(pairs)).unwrap()
}

/// Every record that a reader finds, batch by batch.
pub fn entries(log: &Log) -> Result<Vec<Entry>, LogError> {
    let start = log.start_offset();
    let mut found = Vec::new();
    for (header, batch) in read_batches(log)? {
        let records = BatchRecords::open(header, &batch, 1 << 20).expect("a stored batch can be read");
        for record in records.iter().map(Result::unwrap) {
            let text = |field: &[u8]| String::from_utf8(field.to_vec()).unwrap();
            let entry = Entry {
                offset: record.offset(&header),
                key: text(record.key.unwrap()),
                value: record.value.map(text),
            };
            if entry.offset >= start {
                found.push(entry);
            }
        }
    }
    Ok(found)
}

/// The last value of each key that has one.
pub fn map_of(entries: &[Entry]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for entry in entries {
        match &entry.value {
            Some(value) => map.insert(entry.key.clone(), value.clone()),
            None => map.remove(&entry.key),
        };
    }
    map
}

/// Compacts everything that is sealed.
pub fn compact(solo: &Solo) -> Result<i64, LogError> {
    solo.answer(|log, answer| log.compact(answer))
}
