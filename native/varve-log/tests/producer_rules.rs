//! The failure this guards against: a batch of an idempotent or transactional producer is taken twice, lost, or taken from
//! a producer that was fenced. Each test is one of Kafka's rules; `producer_model.rs` tries them together.

use varve_log::LogError;
use varve_log::producer_snapshot::{decode, encode};
use varve_log::producer_state::{BatchMetadata, ProducerError};
use varve_log::producer_state_manager::{ProducerAppend, ProducerStateManager, Refusal, Verdict};
use varve_log::transactions::AbortedTransaction;
use varve_log::txn_index::TransactionIndex;
use varve_records::{BatchBuilder, BatchHeader, EndTransactionMarker, NO_SEQUENCE, assign_offset};

/// A log of nothing but producers' batches.
#[derive(Default)]
struct Writer {
    manager: ProducerStateManager,
    end: i64,
    index: TransactionIndex,
}

impl Writer {
    /// Appends a batch if it may be; its first offset, new or old.
    fn append(&mut self, mut batch: Vec<u8>) -> Result<i64, Refusal> {
        assign_offset(&mut batch, self.end);
        let header = BatchHeader::parse(&batch).unwrap();
        let mut append = ProducerAppend::default();
        match append.check(&self.manager, &header, &batch, false)? {
            Verdict::Duplicate(original) => Ok(original.first_offset()),
            Verdict::Append(marker) => {
                append.add(&self.manager, &header, marker.as_ref());
                let aborted = self.manager.commit(append);
                aborted.into_iter().for_each(|aborted| self.index.push(aborted));
                self.end = header.next_offset();
                Ok(header.base_offset)
            }
        }
    }

    fn refused(&mut self, batch: Vec<u8>) -> ProducerError {
        match self.append(batch) {
            Err(Refusal::Producer(error)) => error,
            other => panic!("{other:?} instead of a refusal"),
        }
    }

    fn invalid(&mut self, batch: Vec<u8>) -> String {
        match self.append(batch) {
            Err(Refusal::Batch(error)) => error.to_string(),
            other => panic!("{other:?} instead of a refusal"),
        }
    }

    fn stable(&self) -> i64 {
        self.manager.last_stable_offset(self.end, 0)
    }
}

const PRODUCER: i64 = 7;

fn builder(records: usize) -> BatchBuilder {
    let mut builder = BatchBuilder::new(1_700_000_000_000);
    for _ in 0..records {
        builder.push(None, Some(b"v"), &[]);
    }
    builder
}

/// A batch of so many records.
fn idempotent(epoch: i16, sequence: i32, records: usize) -> Vec<u8> {
    let mut builder = builder(records);
    builder.idempotent(PRODUCER, epoch, sequence);
    builder.build()
}

fn transactional(producer_id: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    let mut builder = builder(1);
    builder.transactional(producer_id, epoch, sequence);
    builder.build()
}

fn marker(producer_id: i64, epoch: i16, committed: bool, coordinator_epoch: i32) -> Vec<u8> {
    EndTransactionMarker { committed, coordinator_epoch, timestamp: 1_700_000_000_001 }
        .to_batch(producer_id, epoch)
}

fn out_of_order(epoch: i16, sequence: i32, expected: i32) -> ProducerError {
    ProducerError::OutOfOrderSequence { producer_id: PRODUCER, producer_epoch: epoch, sequence, expected }
}

#[test]
fn a_retry_gets_its_first_offset_and_a_gap_is_refused() {
    let mut log = Writer::default();
    assert_eq!(log.append(idempotent(0, 0, 3)), Ok(0));
    assert_eq!(log.append(idempotent(0, 3, 2)), Ok(3));
    assert_eq!(log.append(idempotent(0, 0, 3)), Ok(0), "the first one again");
    assert_eq!(log.append(idempotent(0, 3, 2)), Ok(3), "the second one again");
    assert_eq!(log.end, 5, "nothing was stored twice");
    assert_eq!(log.refused(idempotent(0, 6, 1)), out_of_order(0, 6, 5));
    assert_eq!(log.refused(idempotent(0, 3, 1)), out_of_order(0, 3, 5), "another range is no retry");
    assert_eq!(log.append(idempotent(0, 5, 1)), Ok(5));
}

#[test]
fn five_batches_are_remembered() {
    let mut log = Writer::default();
    for sequence in 0..6 {
        log.append(idempotent(0, sequence, 1)).unwrap();
    }
    for sequence in 1..6 {
        assert_eq!(log.append(idempotent(0, sequence, 1)), Ok(i64::from(sequence)));
    }
    assert_eq!(log.refused(idempotent(0, 0, 1)), out_of_order(0, 0, 6));
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    let mut log = Writer::default();
    assert_eq!(log.append(idempotent(4, 1234, 1)), Ok(0));
    assert_eq!(log.append(idempotent(4, 1235, 1)), Ok(1));
}

#[test]
fn sequence_numbers_go_on_at_zero_after_the_largest() {
    let mut log = Writer::default();
    log.append(idempotent(0, i32::MAX - 1, 1)).unwrap();
    assert_eq!(log.append(idempotent(0, i32::MAX, 1)), Ok(1));
    assert_eq!(log.append(idempotent(0, 0, 1)), Ok(2));
    assert_eq!(log.append(idempotent(0, 1, 1)), Ok(3));
    let mut log = Writer::default();
    log.append(idempotent(0, i32::MAX - 1, 4)).unwrap();
    assert_eq!(log.append(idempotent(0, i32::MAX - 1, 4)), Ok(0), "a batch across the largest, again");
    assert_eq!(log.refused(idempotent(0, 3, 1)), out_of_order(0, 3, 2));
    assert_eq!(log.append(idempotent(0, 2, 1)), Ok(4));
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut log = Writer::default();
    log.append(idempotent(1, 0, 1)).unwrap();
    assert_eq!(log.refused(idempotent(2, 1, 1)), out_of_order(2, 1, 0));
    assert_eq!(log.append(idempotent(2, 0, 1)), Ok(1));
    let fenced = ProducerError::Fenced { producer_id: PRODUCER, producer_epoch: 1, current_epoch: 2 };
    assert_eq!(log.refused(idempotent(1, 0, 1)), fenced, "even what was appended once");
    assert_eq!(log.refused(marker(PRODUCER, 1, true, 0)), fenced);
}

#[test]
fn producers_do_not_know_each_other() {
    let mut log = Writer::default();
    log.append(idempotent(0, 0, 1)).unwrap();
    log.append(transactional(8, 5, 0)).unwrap();
    assert_eq!(log.append(idempotent(0, 1, 1)), Ok(2));
    assert_eq!(log.append(transactional(8, 5, 1)), Ok(3));
}

#[test]
fn a_transaction_is_undecided_until_its_marker_is_below_the_high_watermark() {
    let mut log = Writer::default();
    log.append(idempotent(0, 0, 1)).unwrap();
    log.append(transactional(8, 0, 0)).unwrap();
    log.append(transactional(9, 0, 0)).unwrap();
    assert_eq!(log.stable(), 1);
    log.append(marker(8, 0, true, 0)).unwrap();
    assert_eq!(log.stable(), 2);
    assert_eq!(log.manager.last_stable_offset(3, 0), 1, "the marker at 3 may still be lost");
    log.append(marker(9, 0, false, 0)).unwrap();
    assert_eq!(log.stable(), log.end);
    log.manager.remove_before(4);
    assert_eq!(log.manager.last_stable_offset(3, 0), 2, "the marker at 3 cannot be lost any more");
}

#[test]
fn an_abort_is_noted_and_an_empty_transaction_is_not() {
    let mut log = Writer::default();
    log.append(transactional(8, 0, 0)).unwrap();
    log.append(transactional(9, 0, 0)).unwrap();
    log.append(marker(9, 0, false, 0)).unwrap();
    log.append(marker(8, 0, true, 0)).unwrap();
    log.append(marker(8, 0, false, 0)).unwrap();
    log.append(marker(5, 0, false, 0)).unwrap();
    let mut found = Vec::new();
    assert!(!log.index.collect(0, 100, &mut found));
    let aborted =
        AbortedTransaction { producer_id: 9, first_offset: 1, last_offset: 2, last_stable_offset: 0 };
    assert_eq!(found, [aborted]);
}

#[test]
fn a_marker_may_bump_the_epoch() {
    let mut log = Writer::default();
    log.append(transactional(8, 0, 0)).unwrap();
    log.append(marker(8, 1, true, 0)).unwrap();
    assert_eq!(log.stable(), log.end, "the marker of the next epoch ends the transaction");
    let fenced = ProducerError::Fenced { producer_id: 8, producer_epoch: 0, current_epoch: 1 };
    assert_eq!(log.refused(transactional(8, 0, 1)), fenced);
    let expected =
        ProducerError::OutOfOrderSequence { producer_id: 8, producer_epoch: 1, sequence: 1, expected: 0 };
    assert_eq!(log.refused(transactional(8, 1, 1)), expected);
    log.append(transactional(8, 1, 0)).unwrap();
}

#[test]
fn a_marker_of_the_same_epoch_leaves_the_sequence_as_it_is() {
    let mut log = Writer::default();
    log.append(transactional(8, 0, 0)).unwrap();
    log.append(marker(8, 0, true, 0)).unwrap();
    assert_eq!(log.append(transactional(8, 0, 0)), Ok(0), "a retry behind the marker");
    assert_eq!(log.append(transactional(8, 0, 1)), Ok(2));
}

#[test]
fn an_old_coordinator_is_fenced() {
    let mut log = Writer::default();
    log.append(transactional(8, 0, 0)).unwrap();
    log.append(marker(8, 0, true, 3)).unwrap();
    log.append(transactional(8, 0, 1)).unwrap();
    let fenced = ProducerError::CoordinatorFenced { producer_id: 8, coordinator_epoch: 2, current_epoch: 3 };
    assert_eq!(log.refused(marker(8, 0, false, 2)), fenced);
    assert_eq!(log.stable(), 2, "the transaction is as open as before");
    log.append(marker(8, 0, false, 3)).unwrap();
}

#[test]
fn a_producer_writes_within_its_transaction_only() {
    let mut log = Writer::default();
    log.append(transactional(PRODUCER, 0, 0)).unwrap();
    let refused = log.refused(idempotent(0, 1, 1));
    let told = ProducerError::NotInTransaction {
        producer_id: PRODUCER,
        producer_epoch: 0,
        sequence: 1,
        first_offset: 0,
    };
    assert_eq!(refused, told);
    log.append(marker(PRODUCER, 0, true, 0)).unwrap();
    log.append(idempotent(0, 1, 1)).unwrap();
}

/// A group coordinator writes offset commits of a transaction without sequence numbers.
#[test]
fn a_transactional_batch_may_lack_a_sequence_number() {
    let mut log = Writer::default();
    assert_eq!(log.append(transactional(8, 0, NO_SEQUENCE)), Ok(0));
    assert_eq!(log.append(transactional(8, 0, NO_SEQUENCE)), Ok(1), "and is never taken for a retry");
    assert_eq!(log.stable(), 0);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let mut log = Writer::default();
    assert!(log.invalid(idempotent(0, NO_SEQUENCE, 1)).contains("sequence number -1 of producer 7"));
    assert!(log.invalid(idempotent(0, -2, 1)).contains("sequence number -2"));
    assert!(log.invalid(idempotent(-1, 0, 1)).contains("producer 7 has no epoch"));
    let mut leader_change = marker(8, 0, true, 0);
    leader_change[69] = 2;
    assert!(log.invalid(leader_change).contains("no transaction marker"));
    assert!(log.manager.is_empty());
}

#[test]
fn batches_of_one_write_see_each_other_and_a_failed_write_leaves_no_trace() {
    let mut manager = ProducerStateManager::default();
    let mut append = ProducerAppend::default();
    let mut end = 0;
    let mut offer = |append: &mut ProducerAppend, mut batch: Vec<u8>| {
        assign_offset(&mut batch, end);
        let header = BatchHeader::parse(&batch).unwrap();
        let verdict = append.check(&manager, &header, &batch, false);
        if let Ok(Verdict::Append(marker)) = verdict {
            append.add(&manager, &header, marker.as_ref());
            end = header.next_offset();
        }
        verdict
    };
    assert_eq!(offer(&mut append, idempotent(0, 0, 2)), Ok(Verdict::Append(None)));
    let original = BatchMetadata { last_sequence: 1, last_offset: 1, offset_delta: 1 };
    assert_eq!(offer(&mut append, idempotent(0, 0, 2)), Ok(Verdict::Duplicate(original)));
    assert_eq!(offer(&mut append, idempotent(0, 3, 1)), Err(Refusal::Producer(out_of_order(0, 3, 2))));
    assert_eq!(offer(&mut append, transactional(8, 0, 0)), Ok(Verdict::Append(None)));
    assert!(matches!(offer(&mut append, marker(8, 0, false, 0)), Ok(Verdict::Append(Some(_)))));
    assert!(manager.is_empty() && manager.last_stable_offset(4, 0) == 4, "nothing counts yet");
    let aborted = manager.commit(append);
    assert_eq!(aborted.len(), 1);
    assert_eq!(manager.producers().len(), 2);
}

#[test]
fn idle_producers_are_forgotten_and_open_transactions_are_not() {
    let mut log = Writer::default();
    log.append(idempotent(0, 0, 1)).unwrap();
    log.append(transactional(8, 0, 0)).unwrap();
    const DAY: i64 = 86_400_000;
    log.manager.remove_expired(1_700_000_000_000 + DAY - 1, DAY);
    assert_eq!(log.manager.producers().len(), 2);
    log.manager.remove_expired(1_700_000_000_000 + DAY, DAY);
    let left: Vec<i64> = log.manager.producers().map(|producer| producer.producer_id).collect();
    assert_eq!(left, [8]);
    assert_eq!(log.append(idempotent(0, 55, 1)), Ok(2), "as good as unknown");
}

#[test]
fn a_snapshot_keeps_the_last_five_batches_and_the_open_transaction() {
    let mut log = Writer::default();
    for sequence in 0..7 {
        log.append(idempotent(0, sequence, 1)).unwrap();
    }
    log.append(transactional(8, 2, 9)).unwrap();
    let snapshot = encode(log.manager.producers());
    log.manager = ProducerStateManager::from_snapshot(decode(&snapshot).unwrap());
    for sequence in 2..7 {
        assert_eq!(log.append(idempotent(0, sequence, 1)), Ok(sequence.into()), "where it is");
    }
    assert_eq!(log.refused(idempotent(0, 1, 1)), out_of_order(0, 1, 7));
    assert_eq!(log.stable(), 7);
    log.append(marker(8, 3, true, 0)).unwrap();
    assert_eq!(log.stable(), log.end);
}

/// A producer whose snapshot is one that Kafka might have written.
#[test]
fn a_snapshot_without_earlier_batches_has_kafkas_length() {
    let mut log = Writer::default();
    log.append(idempotent(0, 0, 1)).unwrap();
    assert_eq!(encode(log.manager.producers()).len(), 10 + 46);
    log.append(idempotent(0, 1, 1)).unwrap();
    assert_eq!(encode(log.manager.producers()).len(), 10 + 46 + 1 + 16);
}

#[test]
fn no_half_or_changed_snapshot_is_believed() {
    let mut log = Writer::default();
    log.append(idempotent(0, 0, 1)).unwrap();
    log.append(idempotent(0, 1, 1)).unwrap();
    let good = encode(log.manager.producers());
    for length in 0..good.len() {
        assert_eq!(decode(&good[..length]), None, "{length} bytes");
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&bad), None, "bit {bit}");
    }
    assert_eq!(decode(&[good.as_slice(), &[0]].concat()), None, "a byte too many");
    assert_eq!(decode(&vec![0; good.len()]), None, "zeros");
}

#[test]
fn no_file_of_another_kind_is_taken_for_a_transaction_index() {
    let mut log = Writer::default();
    for sequence in 0..2 {
        log.append(transactional(8, 0, sequence)).unwrap();
        log.append(marker(8, 0, false, 0)).unwrap();
    }
    let good = log.index.to_bytes();
    assert_eq!(TransactionIndex::parse(0, &good), Some(log.index));
    assert_eq!(TransactionIndex::parse(2, &good), None, "a marker before the segment");
    assert_eq!(TransactionIndex::parse(0, &good[..40]), None);
    assert_eq!(
        TransactionIndex::parse(0, &[&good[34..], &good[..34]].concat()),
        None,
        "markers go backwards"
    );
    assert_eq!(TransactionIndex::parse(0, &[0; 34]).map(|index| index.to_bytes().len()), Some(34));
    let mut later = good.clone();
    later[1] = 1;
    assert_eq!(TransactionIndex::parse(0, &later), None, "a later version");
}

#[test]
fn a_search_ends_where_no_later_segment_can_add_anything() {
    let entry = |first_offset, last_offset, last_stable_offset| AbortedTransaction {
        producer_id: 1,
        first_offset,
        last_offset,
        last_stable_offset,
    };
    let entries = [entry(0, 5, 2), entry(2, 8, 9), entry(10, 12, 13)];
    let mut index = TransactionIndex::default();
    entries.iter().for_each(|entry| index.push(*entry));
    let search = |from, up_to| {
        let mut found = Vec::new();
        let ended = index.collect(from, up_to, &mut found);
        (found.iter().map(|entry| entry.first_offset).collect::<Vec<_>>(), ended)
    };
    assert_eq!(search(0, 100), (vec![0, 2, 10], false));
    assert_eq!(search(6, 9), (vec![2], true));
    assert_eq!(search(0, 2), (vec![0], true));
    assert_eq!(search(9, 10), (vec![], true));
    assert_eq!(search(13, 14), (vec![], false));
    index.truncate_to(8);
    let mut found = Vec::new();
    index.collect(0, 100, &mut found);
    assert_eq!(found, [entries[0]]);
}

#[test]
fn messages_name_the_log_the_producer_and_what_was_expected() {
    let error = LogError::Producer { dir: "/data/orders-0".into(), error: out_of_order(3, 9, 5) };
    assert_eq!(error.code(), "VARVE_OUT_OF_ORDER_SEQUENCE");
    let message = error.to_string();
    for part in ["/data/orders-0", "producer 7", "epoch 3", "got 9", "expected 5"] {
        assert!(message.contains(part), "{message}");
    }
}
