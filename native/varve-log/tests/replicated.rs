//! The failure this guards against: a follower's log differs from its leader's, or takes batches that do not follow.

mod simulation;

use simulation::{LOGS, Solo, all, batch_of, config, names, segment_file};
use varve_log::sim::{SimStorage, Survival};
use varve_log::{Access, Durability, LogError};
use varve_records::{assign_epoch, assign_offset};

fn batch(offset: i64, epoch: i32, values: &[&[u8]]) -> Vec<u8> {
    let mut batch = batch_of(1000, values);
    assign_offset(&mut batch, offset);
    assign_epoch(&mut batch, epoch);
    batch
}

fn append(solo: &Solo, mut batch: Vec<u8>) -> Result<i64, LogError> {
    loop {
        let mut appended = solo.log.append_replicated(&mut [&mut batch]);
        match appended.results.pop() {
            Some(result) => return result,
            None => solo.drain(),
        }
    }
}

fn open() -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    (storage, solo)
}

#[test]
fn a_follower_has_the_bytes_of_its_leader() {
    let (leader_storage, leader) = open();
    for n in 0..12 {
        leader.log.set_leader_epoch(n / 4).unwrap();
        leader.append(batch_of(1000, &[&[n as u8; 150], b"two"])).unwrap();
    }
    leader.drain();
    let (storage, follower) = open();
    let mut from = 0;
    while from < leader.log.durable_offset() {
        let slice =
            leader.log.slice(varve_log::SliceRequest { from, max_bytes: 300, ..all() }, Access::Blocking);
        let slice = slice.unwrap();
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking).unwrap();
        assert_eq!(append(&follower, bytes).unwrap(), from);
        from = slice.next_offset;
    }
    follower.drain();
    for (solo, name) in [(leader, LOGS[0]), (follower, LOGS[0])] {
        assert_eq!(solo.log.end_offset_for_epoch(1).unwrap().end_offset, 16, "{name}");
        solo.close();
    }
    assert_eq!(names(&storage, ""), names(&leader_storage, ""));
    for name in names(&storage, "") {
        let file = simulation::file(&name);
        assert!(storage.contents(&file) == leader_storage.contents(&file), "{name}");
    }
}

#[test]
fn gaps_are_kept_and_survive_a_crash() {
    let (storage, solo) = open();
    let offsets = [0, 5, 6, 90, 2_000_000];
    for offset in offsets {
        assert_eq!(append(&solo, batch(offset, 0, &[&[0; 300]])).unwrap(), offset);
    }
    solo.drain();
    assert_eq!(solo.log.durable_offset(), 2_000_001);
    for survival in Survival::ALL {
        let found = Solo::open(&storage.fork().power_loss(survival, 1), config(Durability::Fsync)).unwrap();
        assert_eq!(found.log.end_offset(), 2_000_001, "{survival:?}");
        let mut from = 0;
        for offset in offsets {
            let slice =
                found.log.slice(varve_log::SliceRequest { from, max_bytes: 1, ..all() }, Access::Blocking);
            from = slice.unwrap().next_offset;
            assert_eq!(from, offset + 1);
        }
    }
    let truncated = solo.answer(|log, answer| log.truncate_to(1_000_000, answer)).unwrap();
    assert_eq!(truncated, 91, "nothing between the last batch and the offset is remembered");
    assert!(storage.contents(&segment_file(0, "log")).is_some());
}

#[test]
fn what_does_not_follow_is_refused_and_nothing_of_it_stays() {
    let (_storage, solo) = open();
    append(&solo, batch(10, 4, &[b"ten", b"eleven"])).unwrap();
    let code = |batch| append(&solo, batch).unwrap_err().code();
    assert_eq!(code(batch(11, 4, &[b"overlaps"])), "VARVE_BATCH_INVALID");
    assert_eq!(code(batch(12, 3, &[b"of an epoch that is over"])), "VARVE_EPOCH_FENCED");
    assert_eq!(code(batch(12 + (1 << 31), 4, &[b"too far"])), "VARVE_BATCH_INVALID");
    let mut damaged = batch(12, 4, &[b"damaged"]);
    damaged[65] ^= 1;
    assert_eq!(code(damaged), "VARVE_BATCH_CORRUPT");
    assert_eq!(solo.log.end_offset(), 12);
    assert_eq!(append(&solo, batch(12, 4, &[b"follows"])).unwrap(), 12);
    solo.log.set_leader_epoch(5).unwrap();
    assert_eq!(solo.append(batch_of(0, &[b"and as leader"])).unwrap(), 13);
    assert_eq!(solo.log.end_offset_for_epoch(4).unwrap().end_offset, 13);
}
