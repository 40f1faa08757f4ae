//! What compaction keeps of a batch: the rules of Kafka's `Cleaner`.
//!
//! Of each key the last record stays. A record without a value, a tombstone, deletes its key: the first pass that meets
//! one stamps its batch with a delete horizon (KIP-534), and once that has passed the tombstone goes too, which leaves
//! readers that long to learn of the deletion. Transaction markers go the same way once no batch needs them. Records of
//! aborted transactions go at once, as do records without a key. Batches keep their first and last offset whatever
//! becomes of their records.

use std::borrow::Cow;
use std::collections::HashMap;

use varve_records::{BatchError, BatchHeader, BatchRecords, Record, empty_batch, rewrite};

use crate::cleaned_transactions::{CleanedTransactions, Fate};
use crate::expansion::expand_in_turn;
use crate::offset_map::OffsetMap;
use crate::transactions::AbortedTransaction;

/// What is last known of a producer that may write again. Its next batch is measured by it, after a recovery from the
/// log as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// Of its last batch of records; none when a marker is all that its epoch has written.
    pub last_data_offset: Option<i64>,
    pub producer_epoch: i16,
}

/// By producer id.
pub(crate) type LastRecords = HashMap<i64, LastRecord>;

/// The first walk: finds the last offset of each key in the part of the log that was not compacted yet.
pub(crate) struct KeySurvey {
    pub map: OffsetMap,
    transactions: CleanedTransactions,
    first_dirty_offset: i64,
}

impl KeySurvey {
    pub fn new(map: OffsetMap, aborted: Vec<AbortedTransaction>, first_dirty_offset: i64) -> Self {
        Self { map, transactions: CleanedTransactions::new(aborted), first_dirty_offset }
    }

    /// Notes the keys of a batch.
    pub fn add(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
        let fate = self.transactions.step(header, batch);
        if fate == Fate::Open && !header.is_control() {
            expand_in_turn(|max_bytes| {
                for record in BatchRecords::open(*header, batch, max_bytes)?.iter() {
                    let record = record?;
                    let offset = record.offset(header);
                    if let Some(key) = record.key.filter(|_| offset >= self.first_dirty_offset) {
                        self.map.put(key, offset);
                    }
                }
                Ok(())
            })?;
        }
        self.map.latest_offset = header.last_offset();
        Ok(())
    }
}

/// The second walk: decides on every batch from the log's start up to where the first walk came.
pub(crate) struct Cleaner {
    map: OffsetMap,
    transactions: CleanedTransactions,
    last_records: LastRecords,
    now_ms: i64,
    delete_retention_ms: i64,
}

/// What is to be written of a batch.
pub(crate) struct Kept<'a> {
    pub batch: Cow<'a, [u8]>,
    /// For the transaction index of the segment: an aborted transaction whose marker this is, and stays for now.
    pub aborted: Option<AbortedTransaction>,
}

impl Cleaner {
    pub fn new(
        map: OffsetMap,
        aborted: Vec<AbortedTransaction>,
        last_records: LastRecords,
        now_ms: i64,
        delete_retention_ms: i64,
    ) -> Self {
        let transactions = CleanedTransactions::new(aborted);
        Self { map, transactions, last_records, now_ms, delete_retention_ms }
    }

    /// What stays of a batch. `keeps_place` says that its last offset must stay known whatever becomes of its records:
    /// it is the last one of what is being replaced.
    pub fn clean<'a>(
        &mut self,
        header: &BatchHeader,
        batch: &'a [u8],
        keeps_place: bool,
    ) -> Result<Option<Kept<'a>>, BatchError> {
        let fate = self.transactions.step(header, batch);
        let aborted = match fate {
            Fate::MarkerOfAborted(transaction) => Some(transaction),
            _ => None,
        };
        let kept = expand_in_turn(|max_bytes| self.kept(header, batch, fate, keeps_place, max_bytes))?;
        Ok(kept.map(|batch| Kept { batch, aborted }))
    }

    /// The batch with the records that stay, which may expand to so many bytes.
    fn kept<'a>(
        &self,
        header: &BatchHeader,
        batch: &'a [u8],
        fate: Fate,
        keeps_place: bool,
        max_bytes: usize,
    ) -> Result<Option<Cow<'a, [u8]>>, BatchError> {
        let is_needless_marker = header.is_control() && fate == Fate::MarkerOfNothing;
        let past_horizon = header.delete_horizon().is_some_and(|horizon| horizon <= self.now_ms);
        let goes_whole = fate == Fate::Aborted || is_needless_marker && past_horizon;

        let records = BatchRecords::open(*header, batch, max_bytes)?;
        let mut kept: Vec<Record<'_>> = Vec::new();
        let mut has_tombstones = false;
        for record in records.iter() {
            let record = record?;
            if !goes_whole && (header.is_control() || self.stays(header, &record, past_horizon)) {
                has_tombstones |= record.value.is_none();
                kept.push(record);
            }
        }

        let batch = if kept.is_empty() {
            if !(keeps_place || self.is_last_of_producer(header)) {
                return Ok(None);
            }
            Cow::Owned(empty_batch(header))
        } else {
            let needs_horizon = (has_tombstones && !header.is_control() || is_needless_marker)
                && header.delete_horizon().is_none();
            let horizon = match needs_horizon {
                true => Some(self.now_ms.saturating_add(self.delete_retention_ms)),
                false => header.delete_horizon(),
            };
            match kept.len() as i64 == i64::from(header.records_count) && !needs_horizon {
                true => Cow::Borrowed(batch),
                false => {
                    let codec = header.codec().expect("its records were opened");
                    Cow::Owned(rewrite(header, kept, codec, horizon))
                }
            }
        };
        Ok(Some(batch))
    }

    fn stays(&self, header: &BatchHeader, record: &Record<'_>, past_horizon: bool) -> bool {
        let offset = record.offset(header);
        if offset > self.map.latest_offset {
            // Of what lies behind nothing is known yet.
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        is_latest && (record.value.is_some() || !past_horizon)
    }

    /// Whether the producer's next batch is measured by this one: its sequence number, or the epoch of a marker that
    /// was all it has written.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if !header.has_producer_id() {
            return false;
        }
        match self.last_records.get(&header.producer_id) {
            Some(LastRecord { last_data_offset: Some(offset), .. }) => header.last_offset() == *offset,
            Some(LastRecord { producer_epoch, .. }) => {
                header.is_control() && header.producer_epoch == *producer_epoch
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
