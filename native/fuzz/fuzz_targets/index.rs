//! Index files and producer snapshots have no checksum, or one that anybody can compute: nothing panics, a position that is
//! answered lies in the segment, and what is written again is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_log::offset_index::OffsetIndex;
use varve_log::producer_snapshot;
use varve_log::producer_state_manager::ProducerStateManager;
use varve_log::time_index::TimeIndex;
use varve_log::txn_index::TransactionIndex;

fuzz_target!(|bytes: &[u8]| {
    let Some((head, file)) = bytes.split_at_checked(9) else { return };
    let base_offset = i64::from_be_bytes(head[1..].try_into().expect("eight bytes")) & i64::MAX;
    let asked = [0, base_offset, base_offset.saturating_add(5), i64::from(i32::MAX), i64::MAX];
    match head[0] % 4 {
        0 => offsets(base_offset, file, &asked),
        1 => times(base_offset, file, &asked),
        2 => transactions(base_offset, file, &asked),
        _ => producers(file),
    }
});

fn offsets(base_offset: i64, file: &[u8], asked: &[i64]) {
    let segment_bytes = 1 << 20;
    let Some(index) = OffsetIndex::parse(base_offset, file, segment_bytes) else { return };
    for &offset in asked {
        assert!(index.position_for(offset) <= segment_bytes);
        assert!(index.batch_start_before(offset as u64) <= segment_bytes);
    }
    let written = index.to_bytes();
    let again = OffsetIndex::parse(base_offset, &written, segment_bytes).expect("it was written by us");
    assert_eq!(again.to_bytes(), written);
}

fn times(base_offset: i64, file: &[u8], asked: &[i64]) {
    let Some(index) = TimeIndex::parse(base_offset, file) else { return };
    for &asked in asked {
        assert!(index.offset_before(asked) >= base_offset);
        index.last_before(asked);
    }
    let written = index.to_bytes();
    let again = TimeIndex::parse(base_offset, &written).expect("it was written by us");
    assert_eq!((again.to_bytes(), again.last()), (written, index.last()));
}

fn transactions(base_offset: i64, file: &[u8], asked: &[i64]) {
    let Some(mut index) = TransactionIndex::parse(base_offset, file) else { return };
    for &offset in asked {
        index.collect(offset, offset.saturating_add(100), &mut Vec::new());
    }
    let written = index.to_bytes();
    let again = TransactionIndex::parse(base_offset, &written).expect("it was written by us");
    assert_eq!(again.to_bytes(), written);
    index.truncate_to(base_offset);
}

fn producers(file: &[u8]) {
    let Some(found) = producer_snapshot::decode(file) else { return };
    let manager = ProducerStateManager::from_snapshot(found.iter().cloned());
    manager.last_stable_offset(i64::MAX, 0);
    let written = producer_snapshot::encode(found.iter());
    assert_eq!(producer_snapshot::decode(&written).expect("it was written by us"), found);
}
