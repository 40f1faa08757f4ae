//! Partitions that Apache Kafka wrote, in a simulated directory.

use std::fs;
use std::path::{Path, PathBuf};

use varve_log::sim::SimStorage;
use varve_log::storage::Storage;

use super::{DATA, edit, file};

pub fn fixture(partition: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(partition)
}

/// The partition as the solo log of a directory, which Kafka closed cleanly at that end or not at all.
pub fn storage_with(partition: &str, closed_at: Option<i64>) -> SimStorage {
    let storage = SimStorage::new(1);
    storage.create_dir(&file("")).unwrap();
    for entry in fs::read_dir(fixture(partition)).unwrap() {
        let entry = entry.unwrap();
        let content = fs::read(entry.path()).unwrap();
        edit(&storage, &file(entry.file_name().to_str().unwrap()), |bytes| *bytes = content);
    }
    if let Some(end) = closed_at {
        let points = Path::new(DATA).join("recovery-point-offset-checkpoint");
        edit(&storage, &points, |bytes| *bytes = format!("0\n2\nother 3 7\norders 0 {end}\n").into());
        let marker = Path::new(DATA).join(".kafka_cleanshutdown");
        edit(&storage, &marker, |bytes| *bytes = br#"{"version":0,"brokerEpoch":12}"#.to_vec());
    }
    storage
}
