//! The failure this guards against: damage that an inspection does not see, or sees where there is none; and a repair that
//! loses sound batches, gives lost offsets a second time, or leaves less than it found when it is interrupted.

mod simulation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use simulation::{DATA, LOGS, Solo, batch_of, config, open_directory, read_batches};
use varve_log::inspect::{Finding, FindingKind, Inspection, Progress, inspect};
use varve_log::repair::{Repaired, repair};
use varve_log::sim::{SimStorage, Survival};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Durability, Log, LogError, Phase};
use varve_records::BatchHeader;

const RECORDS: i64 = 40;

fn dir() -> PathBuf {
    Path::new(DATA).join(LOGS[0])
}

fn path(base_offset: i64, extension: &str) -> PathBuf {
    dir().join(format!("{base_offset:020}.{extension}"))
}

fn open(storage: &SimStorage) -> Result<Solo, LogError> {
    Solo::open(storage, config(Durability::Fsync))
}

fn look(storage: &SimStorage) -> Inspection {
    let (before, progress) = (storage.operation_count(), Progress::default());
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let inspection = inspect(&shared, Path::new(DATA), LOGS[0], &progress).unwrap();
    assert_eq!(storage.operation_count(), before, "looking changes nothing");
    assert_eq!(progress.done.into_inner(), progress.total.into_inner(), "and comes to an end");
    inspection
}

fn mend(storage: &SimStorage) -> Result<Vec<Repaired>, LogError> {
    let directory = open_directory(storage)?;
    let repaired = repair(&directory, LOGS[0], &Progress::default())?;
    directory.close()?;
    Ok(repaired)
}

/// A log of several segments that was closed, one record a batch.
fn closed() -> SimStorage {
    let storage = SimStorage::new(1);
    let writer = open(&storage).unwrap();
    for n in 0..RECORDS {
        writer.append(batch_of(1000 + n, &[format!("value {n}").as_bytes()])).unwrap();
    }
    writer.close();
    storage
}

/// Where each batch is: segment, position, offset and bytes.
fn batches(storage: &SimStorage) -> Vec<(i64, u64, i64, u64)> {
    let mut found = Vec::new();
    for segment in look(storage).segments {
        let bytes = storage.contents(&path(segment.base_offset, "log")).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::parse(&bytes[at..]).unwrap();
            found.push((segment.base_offset, at as u64, header.base_offset, header.total_bytes()));
            at += header.total_bytes() as usize;
        }
    }
    found
}

fn overwrite(storage: &SimStorage, path: &Path, position: u64, bytes: &[u8]) {
    let file = storage.open(path, OpenMode::ReadWrite).unwrap();
    file.write_at(&[bytes], position).unwrap();
    file.sync_data().unwrap();
}

/// The offsets of all records, batches without any left out.
fn offsets(log: &Log) -> Vec<i64> {
    let with_records =
        |(header, _): (BatchHeader, Vec<u8>)| (header.records_count > 0).then_some(header.base_offset);
    read_batches(log).unwrap().into_iter().filter_map(with_records).collect()
}

fn only(inspection: &Inspection) -> Finding {
    assert_eq!(inspection.findings.len(), 1, "{:#?}", inspection.findings);
    inspection.findings[0].clone()
}

/// Repairs what was damaged and looks whether everything else is there, and stays so when the log is used again.
fn assert_mended(storage: &SimStorage, lost: &[i64]) {
    let left: Vec<i64> = (0..RECORDS).filter(|offset| !lost.contains(offset)).collect();
    let found = look(storage);
    assert_eq!(found.problems().count(), 0, "{:#?}", found.findings);
    assert_eq!(found.end_offset, RECORDS, "no offset is given a second time");
    let log = open(storage).unwrap();
    assert!(matches!(log.log.phase(), Phase::Open), "{:?}", log.log.phase());
    assert_eq!((offsets(&log.log), log.log.end_offset()), (left, RECORDS));
    assert_eq!(log.append(batch_of(0, &[b"next"])).unwrap(), RECORDS);
    log.close();
}

#[test]
fn a_sound_log_is_counted_and_nothing_is_found_in_it() {
    let storage = closed();
    let found = look(&storage);
    assert_eq!(found.findings.len(), 0, "{:#?}", found.findings);
    assert!(found.segments.len() > 3 && found.clean);
    assert_eq!((found.start_offset, found.end_offset, found.recovery_point), (0, RECORDS, Some(RECORDS)));
    assert_eq!(found.segments.iter().map(|segment| segment.records).sum::<u64>(), RECORDS as u64);
    assert_eq!(found.segments.iter().map(|segment| segment.codecs[0]).sum::<u64>(), RECORDS as u64);
    assert_eq!(found.leader_epochs, [(0, 0)]);
    assert_eq!(found.segments.last().unwrap().max_timestamp, Some(1000 + RECORDS - 1));
    assert!(mend(&storage).unwrap().is_empty());
    assert_mended(&storage, &[]);
}

#[test]
fn every_damaged_batch_is_found_and_an_empty_one_takes_its_place() {
    let places = batches(&closed());
    for &(segment, position, offset, bytes) in &places {
        // A bit of its record, its magic byte, and all of its header.
        for (at, change) in [(bytes - 2, &[0xaa][..]), (16, &[0][..]), (0, &[0xff; 61][..])] {
            let storage = closed();
            overwrite(&storage, &path(segment, "log"), position + at, change);
            let damaged = storage.contents(&path(segment, "log")).unwrap();
            let finding = only(&look(&storage));
            assert_eq!((finding.kind, finding.is_problem), (FindingKind::DamagedBatches, true));
            assert_eq!(
                (finding.position, finding.bytes, finding.offsets),
                (position, bytes, (offset, offset + 1))
            );
            let repaired = mend(&storage).unwrap();
            let aside = repaired[0].kept_aside.as_ref().unwrap();
            let range = position as usize..(position + bytes) as usize;
            assert_eq!(storage.contents(aside).unwrap(), &damaged[range], "its bytes are kept");
            assert_mended(&storage, &[offset]);
        }
    }
}

#[test]
fn a_lost_end_leaves_no_offset_to_be_given_again() {
    let storage = closed();
    let &(segment, position, offset, _) = &batches(&storage)[RECORDS as usize - 2];
    let file = storage.open(&path(segment, "log"), OpenMode::ReadWrite).unwrap();
    file.set_len(position).unwrap();
    file.sync_data().unwrap();
    let found = look(&storage);
    let missing: Vec<_> =
        found.problems().filter(|finding| finding.kind == FindingKind::MissingOffsets).collect();
    assert_eq!(missing.len(), 1, "{:#?}", found.findings);
    assert_eq!(missing[0].offsets, (offset, RECORDS));
    mend(&storage).unwrap();
    assert_mended(&storage, &[offset, offset + 1]);
}

#[test]
fn a_segment_that_is_missing_is_told_and_bridged() {
    let storage = closed();
    let segments = look(&storage).segments;
    let gone = &segments[1];
    for extension in ["log", "index", "timeindex"] {
        storage.remove(&path(gone.base_offset, extension)).unwrap();
    }
    storage.sync_dir(&dir()).unwrap();
    let finding = only(&look(&storage));
    assert_eq!(finding.kind, FindingKind::MissingOffsets);
    assert_eq!(finding.offsets, (gone.base_offset, gone.end_offset));
    mend(&storage).unwrap();
    assert_mended(&storage, &(gone.base_offset..gone.end_offset).collect::<Vec<_>>());
}

#[test]
fn indexes_that_are_missing_or_wrong_are_found_and_built_again() {
    let sound = closed();
    let segments = look(&sound).segments;
    let second = &segments[1];
    for extension in ["index", "timeindex"] {
        let file = path(second.base_offset, extension);
        let content = sound.contents(&file).unwrap();
        for at in 0..=content.len() {
            let storage = closed();
            match at < content.len() {
                true => overwrite(&storage, &file, at as u64, &[content[at] ^ 0x01]),
                false => storage.remove(&file).unwrap(),
            }
            let found = look(&storage);
            let problems: Vec<_> = found.problems().collect();
            // A larger offset of an entry that leads to the right place misleads nobody.
            if problems.is_empty() {
                assert!(extension == "index" && at % 8 < 4, "byte {at} of {}", file.display());
                continue;
            }
            assert!(problems.iter().all(|problem| problem.kind == FindingKind::WrongIndex));
            assert!(problems.iter().any(|problem| problem.file == file), "byte {at} of {}", file.display());
            mend(&storage).unwrap();
            assert!(storage.exists(&file).unwrap());
            assert_mended(&storage, &[]);
        }
    }
}

#[test]
fn what_opening_the_log_puts_right_is_no_problem() {
    let storage = SimStorage::new(1);
    let writer = open(&storage).unwrap();
    writer.append_all(&["a", "b"]);
    let end = writer.log.active_segment();
    let bytes = storage.contents(&path(end, "log")).unwrap().len() as u64;
    let storage = storage.process_crash();
    overwrite(&storage, &path(end, "log"), bytes, &[7; 300]);
    let finding = only(&look(&storage));
    assert_eq!((finding.kind, finding.is_problem), (FindingKind::TornTail, false));
    assert_eq!((finding.position, finding.bytes, finding.offsets), (bytes, 300, (2, 2)));
    assert!(mend(&storage).unwrap().is_empty());
    let log = open(&storage).unwrap();
    assert_eq!((log.log.recovered.unwrap().cut_bytes, log.values()), (300, vec!["a".into(), "b".into()]));
}

#[test]
fn lost_leader_epochs_are_found_in_the_batches() {
    let storage = SimStorage::new(1);
    let writer = open(&storage).unwrap();
    writer.append_all(&["a"]);
    writer.log.set_leader_epoch(3).unwrap();
    writer.append_all(&["b"]);
    writer.close();
    storage.remove(&dir().join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(only(&look(&storage)).kind, FindingKind::WrongEpochs);
    mend(&storage).unwrap();
    assert_eq!(look(&storage).findings.len(), 0);
    assert_eq!([0, 1].map(|offset| open(&storage).unwrap().log.epoch_at(offset)), [Some(0), Some(3)]);
}

#[test]
fn a_repair_that_crashes_anywhere_leaves_what_was_sound_and_can_be_done_again() {
    let places = batches(&closed());
    let damaged = || {
        let storage = closed();
        for &(segment, position, _, bytes) in [&places[2], &places[3], &places[20], &places[39]] {
            overwrite(&storage, &path(segment, "log"), position, &vec![0xee; bytes as usize]);
        }
        storage.remove(&path(look(&storage).segments[2].base_offset, "index")).unwrap();
        storage
    };
    let storage = damaged();
    let before = storage.operation_count();
    mend(&storage).unwrap();
    let operations = storage.operation_count() - before;
    assert_mended(&storage, &[2, 3, 20, 39]);
    for number in 1..=operations {
        for (n, survival) in Survival::ALL.into_iter().map(Some).chain([None]).enumerate() {
            let storage = damaged();
            // What was there before the repair is on disk.
            let storage = storage.power_loss(Survival::Everything, 1);
            storage.crash_at(number);
            mend(&storage).unwrap_err();
            let left = match survival {
                Some(survival) => storage.power_loss(survival, number * 7 + n as u64),
                None => storage.process_crash(),
            };
            let found = look(&left);
            let records: u64 = found.segments.iter().map(|segment| segment.records).sum();
            assert_eq!(
                records,
                RECORDS as u64 - 4,
                "operation {number}, {survival:?}: {:#?}",
                found.findings
            );
            mend(&left).unwrap();
            assert_mended(&left, &[2, 3, 20, 39]);
        }
    }
}
