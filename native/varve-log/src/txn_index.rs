use crate::transactions::AbortedTransaction;

/// Kafka's `.txnindex`: the transactions whose abort marker stands in the segment, in the order of the markers. Entries
/// of 34 bytes, big-endian: `int16` version 0, then as `int64` the producer id, the first offset, the marker's offset
/// and the last stable offset behind the abort. There is no file for a segment without any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionIndex {
    entries: Vec<AbortedTransaction>,
}

const ENTRY_BYTES: usize = 34;
const VERSION: i16 = 0;

impl TransactionIndex {
    /// Reads a whole index file of the segment that starts at `base_offset`; `None` when it cannot be one and must be
    /// rebuilt.
    pub fn parse(base_offset: i64, bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let mut entries: Vec<AbortedTransaction> = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let number = |at: usize| Some(i64::from_be_bytes(chunk[at..at + 8].try_into().ok()?));
            let entry = AbortedTransaction {
                producer_id: number(2)?,
                first_offset: number(10)?,
                last_offset: number(18)?,
                last_stable_offset: number(26)?,
            };
            let ascends = entries.last().is_none_or(|last| entry.last_offset > last.last_offset);
            let is_one = i16::from_be_bytes([chunk[0], chunk[1]]) == VERSION
                && entry.producer_id >= 0
                && (0..=entry.last_offset).contains(&entry.first_offset)
                && entry.last_offset >= base_offset;
            if !is_one || !ascends {
                return None;
            }
            entries.push(entry);
        }
        rest.is_empty().then_some(Self { entries })
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn push(&mut self, aborted: AbortedTransaction) {
        self.entries.push(aborted);
    }

    /// Drops the transactions whose marker stands at or behind `offset`.
    pub fn truncate_to(&mut self, offset: i64) {
        let kept = self.entries.partition_point(|entry| entry.last_offset < offset);
        self.entries.truncate(kept);
    }

    /// Adds the transactions with a record in `from..up_to` to `found`, and says whether later segments cannot hold
    /// another: behind a last stable offset at or past `up_to` every abort is of later records.
    pub fn collect(&self, from: i64, up_to: i64, found: &mut Vec<AbortedTransaction>) -> bool {
        for entry in &self.entries {
            if entry.last_offset >= from && entry.first_offset < up_to {
                found.push(*entry);
            }
            if entry.last_stable_offset >= up_to {
                return true;
            }
        }
        false
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for entry in &self.entries {
            bytes.extend_from_slice(&VERSION.to_be_bytes());
            bytes.extend_from_slice(&entry.producer_id.to_be_bytes());
            bytes.extend_from_slice(&entry.first_offset.to_be_bytes());
            bytes.extend_from_slice(&entry.last_offset.to_be_bytes());
            bytes.extend_from_slice(&entry.last_stable_offset.to_be_bytes());
        }
        bytes
    }
}
