//! The failure this guards against: a batch that lost some of its records to compaction lost, with them, the offsets, the
//! sequence numbers or the times of those that are left.

mod seeded;

use proptest::prelude::*;
use varve_records::{
    BatchBuilder, BatchHeader, BatchRecords, BatchRules, Codec, assign_log_append_time, assign_offset,
    empty_batch, rewrite, seal, validate,
};

const MAX_BYTES: usize = 1 << 20;

/// What is told of one record: offset, timestamp, key, value.
type Told = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn told(batch: &[u8]) -> Vec<Told> {
    let header = BatchHeader::parse(batch).unwrap();
    let records = BatchRecords::open(header, batch, MAX_BYTES).unwrap();
    let told = records.iter().map(|record| {
        let record = record.unwrap();
        let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        (record.offset(&header), record.timestamp(&header), owned(record.key), owned(record.value))
    });
    told.collect()
}

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[..])
}

proptest! {
    #![proptest_config(seeded::config())]

    #[test]
    fn what_is_left_is_as_it_was(
        records in proptest::collection::vec((any::<i64>(), field(), field(), any::<bool>()), 1..30),
        codec in codec(),
        horizon in proptest::option::of(any::<i64>()),
        base_offset in 0..i64::MAX / 2,
        log_append_time in proptest::option::of(0..i64::MAX),
    ) {
        let mut builder = BatchBuilder::new(records[0].0);
        for (timestamp, key, value, _) in &records {
            builder.push_at(*timestamp, key.as_deref(), value.as_deref(), &[]);
        }
        let mut batch = builder.build();
        assign_offset(&mut batch, base_offset);
        batch[43..57].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0, 9]);
        seal(&mut batch);
        if let Some(now) = log_append_time {
            assign_log_append_time(&mut batch, now);
        }
        let header = BatchHeader::parse(&batch).unwrap();
        let opened = BatchRecords::open(header, &batch, MAX_BYTES).unwrap();
        let kept = opened.iter().map(Result::unwrap).zip(&records).filter(|(_, (.., keep))| *keep);
        let mut rewritten = rewrite(&header, kept.map(|(record, _)| record), codec, horizon);

        let mut expected = told(&batch);
        let mut keep = records.iter().map(|(.., keep)| *keep);
        expected.retain(|_| keep.next().unwrap());
        prop_assert_eq!(told(&rewritten), expected);

        let rules = BatchRules { replicated: true, ..BatchRules::new(MAX_BYTES as u64) };
        let after = validate(&mut rewritten, &rules).unwrap();
        let identity = |h: &BatchHeader| {
            (h.base_offset, h.last_offset_delta, h.producer_id, h.producer_epoch, h.base_sequence)
        };
        prop_assert_eq!(identity(&after), identity(&header));
        prop_assert_eq!(after.delete_horizon(), horizon);
        prop_assert_eq!(after.has_log_append_time(), log_append_time.is_some());
    }
}

#[test]
fn an_empty_batch_keeps_its_place_and_its_producers_sequence() {
    let mut builder = BatchBuilder::new(1000);
    builder.push(Some(b"a"), None, &[]).push_at(2000, Some(b"b"), None, &[]);
    let mut batch = builder.build();
    assign_offset(&mut batch, 40);
    let header = BatchHeader::parse(&batch).unwrap();
    let empty = empty_batch(&header);
    let after = BatchHeader::parse(&empty).unwrap();
    assert!(after.crc_matches(&empty));
    assert_eq!((after.base_offset, after.last_offset(), after.records_count), (40, 41, 0));
    // As Kafka's DefaultRecordBatch.writeEmptyHeader leaves the times.
    assert_eq!((after.base_timestamp, after.max_timestamp), (-1, 2000));
    assert_eq!(told(&empty), []);
}
