//! The failure this guards against: a partition that Kafka wrote was cut off by a crash or has a flipped bit, and opening
//! it panics, loses a batch before the damage, or shows bytes that nobody wrote. Every partition of the fixtures is cut
//! at every byte of its last batch and damaged at every byte of every file.

mod simulation;

use std::fs;
use std::path::{Path, PathBuf};

use simulation::{Solo, all, batch_of, config, edit, file, names};
use varve_log::sim::SimStorage;
use varve_log::storage::Storage;
use varve_log::{Access, Durability, LogConfig, LogError, SliceRequest};
use varve_records::BatchHeader;

/// Flips all bits of a byte, or the one that makes a small number large or a positive one negative.
const FLIPS: [u8; 3] = [0xff, 0x01, 0x80];

/// A partition as files, and what is in its segments.
struct Partition {
    name: String,
    files: Vec<(String, Vec<u8>)>,
    batches: Vec<Batch>,
    end: i64,
}

struct Batch {
    segment: String,
    /// In its segment.
    start: usize,
    bytes: Vec<u8>,
    next: i64,
}

impl Partition {
    fn new(name: String, files: Vec<(String, Vec<u8>)>) -> Self {
        let mut batches = Vec::new();
        for (segment, bytes) in files.iter().filter(|(name, _)| name.ends_with(".log")) {
            let mut start = 0;
            while start < bytes.len() {
                let header = BatchHeader::parse(&bytes[start..]).unwrap();
                let end = start + header.total_bytes() as usize;
                let (bytes, next) = (bytes[start..end].to_vec(), header.next_offset());
                batches.push(Batch { segment: segment.clone(), start, bytes, next });
                start = end;
            }
        }
        let end = batches.last().unwrap().next;
        Self { name, files, batches, end }
    }

    /// Those that Kafka wrote.
    fn fixtures() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/kafka-4.4");
        let mut folders: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.is_dir());
        folders.sort();
        let partitions: Vec<Self> = folders.iter().map(|path| Self::read(path)).collect();
        assert!(partitions.len() > 20);
        partitions
    }

    fn read(folder: &Path) -> Self {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            if !name.contains("dump") {
                files.push((name, fs::read(path).unwrap()));
            }
        }
        files.sort();
        Self::new(folder.file_name().unwrap().to_str().unwrap().into(), files)
    }

    /// One of ours that has many index entries.
    fn indexed() -> Self {
        let storage = SimStorage::new(1);
        let log_config = LogConfig { segment_bytes: 4000, ..config(Durability::Fsync) };
        let solo = Solo::open(&storage, log_config).unwrap();
        for n in 0..80 {
            solo.append(batch_of(1_700_000_000_000 + n * 13 % 40, &[&[1; 60], b"second"])).unwrap();
        }
        solo.close();
        let files = names(&storage, "").into_iter();
        let files = files.map(|name| (name.clone(), storage.contents(&file(&name)).unwrap())).collect();
        Self::new("indexed".into(), files)
    }

    /// The partition with one file changed, closed by Kafka or not, whose end was flushed or not.
    fn damaged(&self, changed: &str, state: State, change: impl FnOnce(&mut Vec<u8>)) -> SimStorage {
        let storage = SimStorage::new(1);
        storage.create_dir(file("x").parent().unwrap()).unwrap();
        for (name, bytes) in &self.files {
            edit(&storage, &file(name), |content| content.clone_from(bytes));
        }
        edit(&storage, &file(changed), change);
        let recovery_point = match state {
            State::Foreign => return storage,
            State::Unflushed => self.batches[0].next - 1,
            State::Closed => self.end,
        };
        let points = Path::new("/srv/data/recovery-point-offset-checkpoint");
        edit(&storage, points, |bytes| *bytes = format!("0\n1\norders 0 {recovery_point}\n").into());
        if state == State::Closed {
            let marker = Path::new("/srv/data/.kafka_cleanshutdown");
            edit(&storage, marker, |bytes| *bytes = br#"{"version":0,"brokerEpoch":12}"#.to_vec());
        }
        storage
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is known of it.
    Foreign,
    /// Its process ended before more than the first batch was flushed.
    Unflushed,
    Closed,
}

/// For each byte one of them, in turn.
const STATES: [State; 3] = [State::Foreign, State::Unflushed, State::Closed];

/// Whole batches from the start of the log, until its end or the first that cannot be read.
fn read(solo: &Solo) -> (Vec<u8>, Option<LogError>) {
    let mut bytes = Vec::new();
    let mut from = solo.log.start_offset();
    loop {
        let request = SliceRequest { from, max_bytes: 1, ..all() };
        let slice = match solo.log.slice(request, Access::Blocking) {
            Ok(slice) if slice.bytes == 0 => return (bytes, None),
            Ok(slice) => slice,
            Err(error) => return (bytes, Some(error)),
        };
        let mut part = vec![0; slice.bytes as usize];
        slice.read(&mut part, 0, Access::Blocking).unwrap();
        if !BatchHeader::parse(&part).is_some_and(|header| header.crc_matches(&part)) {
            return (bytes, None);
        }
        bytes.extend(part);
        assert!(slice.next_offset > from, "a reader gets on");
        from = slice.next_offset;
    }
}

/// Opens a damaged partition; everything in front of the damage must be there.
fn check(storage: &SimStorage, intact: &[Batch], what: &str) {
    let solo = match Solo::open(storage, LogConfig::default()) {
        Ok(solo) => solo,
        Err(error) => {
            assert!(matches!(error, LogError::Corrupt { .. }), "{what}: {error}");
            return;
        }
    };
    let expected: Vec<u8> = intact.iter().flat_map(|batch| batch.bytes.iter().copied()).collect();
    let (bytes, _) = read(&solo);
    assert!(bytes.starts_with(&expected), "{what}: {} bytes are there of {}", bytes.len(), expected.len());
    solo.close();
}

#[test]
fn a_partition_that_is_cut_anywhere_in_its_last_batch_keeps_the_others() {
    for partition in Partition::fixtures() {
        let last = partition.batches.last().unwrap();
        let before = &partition.batches[..partition.batches.len() - 1];
        for (cut, state) in (last.start..last.start + last.bytes.len()).zip(STATES.into_iter().cycle()) {
            let what = format!("{}, {state:?}, cut at byte {cut}", partition.name);
            let storage = partition.damaged(&last.segment, state, |bytes| bytes.truncate(cut));
            check(&storage, before, &what);
            if state == State::Closed {
                let stored = storage.contents(&file(&last.segment)).unwrap();
                assert_eq!(stored.len(), cut, "{what}: nothing more is cut of what was durable");
            }
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_costs_nothing_in_front_of_it() {
    for partition in Partition::fixtures() {
        // Of the longest one only so many, or it would take as long as all others together.
        let step = if partition.batches.len() > 50 { 7 } else { 1 };
        for (n, batch) in partition.batches.iter().enumerate() {
            for (i, state) in (0..batch.bytes.len()).zip(STATES.into_iter().cycle()).step_by(step) {
                let flip = FLIPS[(i / 3 + n) % FLIPS.len()];
                let what = format!("{}, {state:?}, byte {i} of batch {n} xor {flip:#x}", partition.name);
                let at = batch.start + i;
                let storage = partition.damaged(&batch.segment, state, |bytes| bytes[at] ^= flip);
                check(&storage, &partition.batches[..n], &what);
            }
        }
    }
}

#[test]
fn whatever_stands_in_the_other_files_the_batches_are_found() {
    for partition in Partition::fixtures().into_iter().chain([Partition::indexed()]) {
        let others = partition.files.iter().filter(|(name, _)| !name.ends_with(".log"));
        for (name, bytes) in others {
            let cuts = (0..bytes.len()).map(|at| (at, None));
            let flips = (0..bytes.len()).zip(FLIPS.into_iter().cycle()).map(|(at, flip)| (at, Some(flip)));
            for (at, flip) in cuts.chain(flips) {
                let what = format!("{}, {name}, byte {at} {flip:x?}", partition.name);
                let storage = partition.damaged(name, State::Closed, |bytes| match flip {
                    Some(flip) => bytes[at] ^= flip,
                    None => bytes.truncate(at),
                });
                finds_every_batch(&storage, &partition, &what);
            }
        }
    }
}

fn finds_every_batch(storage: &SimStorage, partition: &Partition, what: &str) {
    let solo = Solo::open(storage, LogConfig::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(solo.log.end_offset(), partition.end, "{what}");
    let mut from = solo.log.start_offset();
    for batch in &partition.batches {
        let request = SliceRequest { from, max_bytes: 1, ..all() };
        let slice =
            solo.log.slice(request, Access::Blocking).unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking).unwrap();
        assert!(bytes == batch.bytes, "{what}: another batch than that at {from}");
        from = batch.next;
    }
    // A time index that lies may lead astray, but not out of the log.
    for timestamp in [0, 1_700_000_000_020, 1_795_452_210_000, i64::MAX] {
        drop(solo.log.batch_for_time(timestamp, 0));
    }
    drop(solo.log.batch_of_max_timestamp());
    solo.close();
}
