//! The failure this guards against: somebody copies a partition that Kafka wrote, or moves a log out of its data
//! directory, and opening it throws away what the engine does not understand.

mod simulation;

use simulation::{Solo, batch_of, config, edit, names, segment_file};
use std::path::Path;

use varve_log::sim::SimStorage;
use varve_log::storage::Storage;
use varve_log::{Durability, LogError, Phase, Recovered};
use varve_records::seal;

const RECOVERY_POINTS: &str = "/srv/data/recovery-point-offset-checkpoint";

/// One batch to a segment.
fn wide(number: u32) -> String {
    format!("{number:0>600}")
}

/// A log of these values whose directory has lost its checkpoints.
fn without_checkpoint(values: &[&str]) -> SimStorage {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    solo.append_all(values);
    solo.close();
    storage.remove(Path::new(RECOVERY_POINTS)).unwrap();
    storage.process_crash()
}

#[test]
fn gaps_between_segments_are_a_compactions() {
    let values = [wide(0), wide(1), wide(2)];
    let storage = without_checkpoint(&values.each_ref().map(String::as_str));
    storage.remove(&segment_file(1, "log")).unwrap();
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    assert!(matches!(solo.log.phase(), Phase::Open), "{:?}", solo.log.phase());
    assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 3, cut_bytes: 0 }));
    assert_eq!(names(&storage, ".cut"), [""; 0]);
    assert_eq!(solo.append(batch_of(0, &[b"three"])).unwrap(), 3);
}

#[test]
fn an_old_message_format_is_refused_and_stays() {
    let storage = without_checkpoint(&["zero", "one"]);
    edit(&storage, &segment_file(0, "log"), |bytes| {
        let second = bytes.len() / 2 + 1;
        let second = (second..).find(|&at| bytes[at - 8..at] == 1u64.to_be_bytes()).unwrap() - 8;
        bytes[second + 16] = 1;
        seal(&mut bytes[second..]);
    });
    let before = storage.contents(&segment_file(0, "log"));
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    match solo.log.phase() {
        Phase::Failed(LogError::Corrupt { offset: 1, detail, .. }) => {
            assert!(detail.contains("magic 1"), "{detail}")
        }
        phase => panic!("{phase:?}"),
    }
    assert_eq!(storage.contents(&segment_file(0, "log")), before);
}

#[test]
fn a_torn_tail_is_cut_and_kept_aside() {
    let storage = without_checkpoint(&["zero", "one"]);
    edit(&storage, &segment_file(0, "log"), |bytes| bytes.truncate(bytes.len() - 5));
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    assert_eq!(solo.values(), ["zero"]);
    assert_eq!(names(&storage, ".cut"), ["00000000000000000001.cut"]);
}

#[test]
fn a_bad_batch_before_the_last_segment_makes_it_read_only() {
    let values = [wide(0), wide(1)];
    let storage = without_checkpoint(&values.each_ref().map(String::as_str));
    edit(&storage, &segment_file(0, "log"), |bytes| *bytes.last_mut().unwrap() ^= 1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    assert!(matches!(solo.log.phase(), Phase::Failed(LogError::Corrupt { .. })), "{:?}", solo.log.phase());
    assert_eq!(names(&storage, ".cut"), [""; 0]);
}
