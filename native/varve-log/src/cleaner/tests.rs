//! The failure this guards against: compaction keeps what should go, or takes what somebody still needs: the last value
//! of a key, a deletion that a reader has yet to learn of, the marker of a transaction, a producer's sequence.

use varve_records::{
    BatchBuilder, BatchHeader, BatchRecords, Codec, EndTransactionMarker, assign_offset, recompress,
};

use super::*;

const NOW: i64 = 1_000_000;
const RETENTION: i64 = 500;
const PRODUCER: i64 = 7;

/// A log of batches, each at the offset behind the one before.
#[derive(Default)]
struct Batches {
    batches: Vec<Vec<u8>>,
    next_offset: i64,
    aborted: Vec<AbortedTransaction>,
    last_records: LastRecords,
}

type Pair<'a> = (&'a str, Option<&'a str>);

fn builder(records: &[Pair<'_>]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(1000);
    for (key, value) in records {
        builder.push(Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    builder
}

impl Batches {
    fn add(&mut self, mut batch: Vec<u8>) -> i64 {
        let base_offset = self.next_offset;
        assign_offset(&mut batch, base_offset);
        self.next_offset = BatchHeader::parse(&batch).unwrap().next_offset();
        self.batches.push(batch);
        base_offset
    }

    fn put(&mut self, records: &[Pair<'_>]) -> i64 {
        self.add(builder(records).build())
    }

    fn put_transactional(&mut self, sequence: i32, records: &[Pair<'_>]) -> i64 {
        let mut builder = builder(records);
        builder.transactional(PRODUCER, 0, sequence);
        self.add(builder.build())
    }

    fn end_transaction(&mut self, committed: bool) -> i64 {
        let marker = EndTransactionMarker { committed, coordinator_epoch: 0, timestamp: 1000 };
        self.add(marker.to_batch(PRODUCER, 0))
    }

    fn abort(&mut self, first_offset: i64) -> i64 {
        let last_offset = self.end_transaction(false);
        let last_stable_offset = last_offset + 1;
        let producer_id = PRODUCER;
        self.aborted.push(AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset });
        last_offset
    }

    /// One pass over everything, with keys from `dirty` on.
    fn clean_from(&mut self, dirty: i64, now_ms: i64) -> Vec<AbortedTransaction> {
        let mut survey = KeySurvey::new(OffsetMap::new(1000, dirty - 1), self.aborted.clone(), dirty);
        for batch in &self.batches {
            let header = BatchHeader::parse(batch).unwrap();
            if header.last_offset() >= dirty {
                survey.add(&header, batch).unwrap();
            }
        }
        let (aborted, last_records) = (self.aborted.clone(), self.last_records.clone());
        let mut cleaner = Cleaner::new(survey.map, aborted, last_records, now_ms, RETENTION);
        let mut indexed = Vec::new();
        let last = self.batches.len() - 1;
        let mut cleaned = Vec::new();
        for (n, batch) in self.batches.iter().enumerate() {
            let header = BatchHeader::parse(batch).unwrap();
            if let Some(kept) = cleaner.clean(&header, batch, n == last).unwrap() {
                let after = BatchHeader::parse(&kept.batch).unwrap();
                assert!(after.crc_matches(&kept.batch));
                assert_eq!(
                    (after.base_offset, after.last_offset()),
                    (header.base_offset, header.last_offset())
                );
                indexed.extend(kept.aborted);
                cleaned.push(kept.batch.into_owned());
            }
        }
        self.batches = cleaned;
        indexed
    }

    fn clean(&mut self, now_ms: i64) -> Vec<AbortedTransaction> {
        self.clean_from(0, now_ms)
    }

    fn header(&self, base_offset: i64) -> Option<BatchHeader> {
        let headers = self.batches.iter().map(|batch| BatchHeader::parse(batch).unwrap());
        headers.into_iter().find(|header| header.base_offset == base_offset)
    }

    /// Offset, key and value of each record, of control batches only the offset.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for batch in &self.batches {
            let header = BatchHeader::parse(batch).unwrap();
            for record in BatchRecords::open(header, batch, 1000).unwrap().iter().map(Result::unwrap) {
                let text = |field: Option<&[u8]>| {
                    field.map_or("-".into(), |it| String::from_utf8_lossy(it).into_owned())
                };
                let offset = record.offset(&header);
                told.push(match header.is_control() {
                    true => format!("{offset} marker"),
                    false => format!("{offset} {}={}", text(record.key), text(record.value)),
                });
            }
        }
        told
    }
}

#[test]
fn of_each_key_the_last_record_stays_where_it_was() {
    let mut log = Batches::default();
    log.put(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    let mut keyless = BatchBuilder::new(0);
    keyless.push(None, Some(b"nobody's"), &[]);
    log.add(keyless.build());
    log.put(&[("b", Some("2"))]);
    let untouched = log.put(&[("c", Some("1")), ("d", Some("1"))]);
    let bytes = log.batches.last().unwrap().clone();
    log.clean(NOW);
    assert_eq!(log.told(), ["2 a=2", "4 b=2", "5 c=1", "6 d=1"]);
    assert_eq!(log.header(untouched).map(|header| header.records_count), Some(2));
    assert_eq!(log.batches.last(), Some(&bytes), "what loses nothing stays byte for byte");
}

#[test]
fn a_key_of_the_compacted_part_gives_way_to_a_later_one() {
    let mut log = Batches::default();
    log.put(&[("a", Some("1")), ("b", Some("1"))]);
    let dirty = log.put(&[("a", Some("2"))]);
    log.clean_from(dirty, NOW);
    assert_eq!(log.told(), ["1 b=1", "2 a=2"]);
}

#[test]
fn a_deletion_stays_until_readers_had_time_to_learn_of_it() {
    let mut log = Batches::default();
    log.put(&[("a", Some("1"))]);
    let deletion = log.put(&[("a", None), ("b", Some("1"))]);
    log.put(&[("c", Some("1"))]);
    log.clean(NOW);
    assert_eq!(log.told(), ["1 a=-", "2 b=1", "3 c=1"]);
    assert_eq!(log.header(deletion).unwrap().delete_horizon(), Some(NOW + RETENTION));
    log.clean(NOW + 300);
    assert_eq!(log.header(deletion).unwrap().delete_horizon(), Some(NOW + RETENTION), "it is not put off");
    log.clean(NOW + RETENTION - 1);
    assert_eq!(log.told(), ["1 a=-", "2 b=1", "3 c=1"]);
    log.clean(NOW + RETENTION);
    assert_eq!(log.told(), ["2 b=1", "3 c=1"]);
    let header = log.header(deletion).unwrap();
    let records = &log.batches[0];
    let records = BatchRecords::open(header, records, 1000).unwrap();
    let times: Vec<i64> = records.iter().map(|record| record.unwrap().timestamp(&header)).collect();
    assert_eq!(times, [1000], "the times of records outlive the horizon in their batch");
}

#[test]
fn what_lies_behind_the_map_stays() {
    let mut log = Batches::default();
    log.put(&[("a", Some("1"))]);
    log.put(&[("a", Some("2"))]);
    let mut survey = KeySurvey::new(OffsetMap::new(1, -1), Vec::new(), 0);
    let header = BatchHeader::parse(&log.batches[0]).unwrap();
    survey.add(&header, &log.batches[0]).unwrap();
    assert!(survey.map.is_full());
    let mut cleaner = Cleaner::new(survey.map, Vec::new(), LastRecords::new(), NOW, RETENTION);
    for batch in &log.batches {
        let header = BatchHeader::parse(batch).unwrap();
        let kept = cleaner.clean(&header, batch, false).unwrap().unwrap();
        assert_eq!(&*kept.batch, &batch[..]);
    }
}

#[test]
fn aborted_records_go_at_once_and_their_marker_when_nothing_needs_it() {
    let mut log = Batches::default();
    log.put(&[("a", Some("committed"))]);
    let first = log.put_transactional(0, &[("a", Some("aborted"))]);
    log.put(&[("b", Some("1"))]);
    let marker = log.abort(first);
    log.put(&[("end", Some("1"))]);
    let indexed = log.clean(NOW);
    assert_eq!(log.told(), ["0 a=committed", "2 b=1", "3 marker", "4 end=1"]);
    assert_eq!(indexed, log.aborted, "the index keeps what the marker stays for");
    assert_eq!(log.header(marker).unwrap().delete_horizon(), None);
    assert_eq!(log.clean(NOW), []);
    assert_eq!(log.header(marker).unwrap().delete_horizon(), Some(NOW + RETENTION));
    log.clean(NOW + RETENTION);
    assert_eq!(log.told(), ["0 a=committed", "2 b=1", "4 end=1"]);
}

#[test]
fn the_marker_of_a_commit_stays_as_long_as_one_of_its_records() {
    let mut log = Batches::default();
    log.put_transactional(0, &[("a", Some("1")), ("b", Some("1"))]);
    let marker = log.end_transaction(true);
    log.put(&[("a", Some("2"))]);
    log.clean(NOW);
    log.clean(NOW);
    assert_eq!(log.told(), ["1 b=1", "2 marker", "3 a=2"]);
    assert_eq!(log.header(marker).unwrap().delete_horizon(), None);
    log.put(&[("b", Some("2"))]);
    log.clean(NOW);
    log.clean(NOW);
    assert_eq!(log.header(marker).unwrap().delete_horizon(), Some(NOW + RETENTION));
    log.clean(NOW + RETENTION);
    assert_eq!(log.told(), ["3 a=2", "4 b=2"]);
}

#[test]
fn an_abort_that_no_index_knows_keeps_its_marker() {
    let mut log = Batches::default();
    log.put_transactional(0, &[("a", Some("aborted"))]);
    let marker = log.end_transaction(false);
    log.put(&[("end", Some("1"))]);
    log.clean(NOW);
    log.clean(NOW);
    assert_eq!(log.told(), ["0 a=aborted", "1 marker", "2 end=1"]);
    assert_eq!(log.header(marker).unwrap().delete_horizon(), None);
}

#[test]
fn the_last_batch_of_a_producer_stays_for_its_sequence() {
    let mut log = Batches::default();
    log.put_transactional(0, &[("a", Some("1"))]);
    let last = log.put_transactional(1, &[("a", Some("2")), ("b", Some("1"))]);
    log.end_transaction(true);
    log.put(&[("a", Some("3")), ("b", Some("2"))]);
    log.last_records.insert(PRODUCER, LastRecord { last_data_offset: Some(2), producer_epoch: 0 });
    log.clean(NOW);
    assert_eq!(log.told(), ["3 marker", "4 a=3", "5 b=2"]);
    let header = log.header(last).unwrap();
    assert_eq!((header.records_count, header.base_sequence, header.last_sequence()), (0, 1, 2));
    log.clean(NOW + 1);
    assert!(log.header(last).is_some(), "as long as the producer may write again");
    log.last_records.clear();
    log.clean(NOW + 2);
    assert_eq!(log.header(last), None);
}

#[test]
fn a_marker_that_is_all_of_a_producers_epoch_stays_empty() {
    let mut log = Batches::default();
    let marker = log.end_transaction(true);
    log.put(&[("end", Some("1"))]);
    log.last_records.insert(PRODUCER, LastRecord { last_data_offset: None, producer_epoch: 0 });
    log.clean(NOW);
    log.clean(NOW + RETENTION);
    assert_eq!(log.told(), ["1 end=1"]);
    let header = log.header(marker).unwrap();
    assert_eq!((header.records_count, header.is_control()), (0, true));
    log.clean(NOW + RETENTION);
    assert!(log.header(marker).is_some());
}

#[test]
fn the_last_offset_of_what_is_replaced_stays_known() {
    let mut log = Batches::default();
    log.put(&[("a", Some("1"))]);
    log.put(&[("a", None)]);
    log.clean(NOW);
    log.clean(NOW + RETENTION);
    assert_eq!(log.told(), [] as [&str; 0]);
    assert_eq!(log.header(1).map(|header| (header.last_offset(), header.records_count)), Some((1, 0)));
}

#[test]
fn batches_keep_their_codec() {
    for codec in Codec::ALL {
        let mut log = Batches::default();
        let plain = builder(&[("a", Some("1")), ("b", Some("1"))]).build();
        let header = BatchHeader::parse(&plain).unwrap();
        log.add(recompress(header, &plain, codec, 1000).unwrap());
        log.put(&[("a", Some("2"))]);
        log.clean(NOW);
        assert_eq!(log.told(), ["1 b=1", "2 a=2"]);
        assert_eq!(log.header(0).unwrap().codec(), Some(codec));
    }
}

#[test]
fn a_batch_that_does_not_parse_is_an_error() {
    let mut log = Batches::default();
    let plain = builder(&[("a", Some("1"))]).build();
    let header = BatchHeader { attributes: Codec::Gzip as u16, ..BatchHeader::parse(&plain).unwrap() };
    let mut survey = KeySurvey::new(OffsetMap::new(1, -1), Vec::new(), 0);
    assert!(matches!(survey.add(&header, &plain), Err(BatchError::Invalid(_))));
    log.add(plain.clone());
    let mut cleaner = Cleaner::new(OffsetMap::new(1, -1), Vec::new(), LastRecords::new(), NOW, RETENTION);
    assert!(matches!(cleaner.clean(&header, &plain, false), Err(BatchError::Invalid(_))));
}
