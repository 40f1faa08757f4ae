//! The batches that Apache Kafka 4.4.0 wrote, beside what its own `DumpLogSegments` prints of them.

use std::fs;
use std::path::{Path, PathBuf};

use varve_records::BatchHeader;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/records/test/fixtures")
}

/// Every directory of fixtures.
pub fn names() -> Vec<String> {
    let entries = fs::read_dir(fixtures()).expect("the fixtures are in the tree").map(Result::unwrap);
    let directories = entries.filter(|entry| entry.path().is_dir());
    let names: Vec<String> = directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(names.len() >= 17, "{names:?}");
    names
}

/// The batches of a fixture's first segment.
pub fn batches(name: &str) -> Vec<(BatchHeader, Vec<u8>)> {
    let file = fixtures().join(name).join("00000000000000000000.log");
    let mut bytes = &fs::read(file).unwrap()[..];
    let mut batches = Vec::new();
    while let Some(header) = BatchHeader::parse(bytes) {
        let (batch, rest) = bytes.split_at(header.total_bytes() as usize);
        batches.push((header, batch.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "{name} holds whole batches");
    batches
}

/// Lines of the dump of a fixture's first segment: one per batch and, beginning with `|`, one per record.
pub fn dump(name: &str) -> Vec<String> {
    let text = fs::read_to_string(fixtures().join(name).join("dump.txt")).unwrap();
    let first = text.split("Log starting offset: ").nth(1).unwrap_or(&text).to_string();
    first
        .lines()
        .filter(|line| line.starts_with("baseOffset") || line.starts_with('|'))
        .map(String::from)
        .collect()
}
