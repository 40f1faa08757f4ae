/// Kafka's `.timeindex`: entries of twelve bytes, `int64` timestamp in ms and `int32` relative offset, big-endian. An
/// entry says that no record before that offset's batch is younger than the timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeIndex {
    base_offset: i64,
    entries: Vec<(i64, u32)>,
}

const ENTRY_BYTES: usize = 12;

impl TimeIndex {
    pub fn new(base_offset: i64) -> Self {
        Self { base_offset, entries: Vec::new() }
    }

    /// Reads a whole index file; `None` when it cannot be one and must be rebuilt.
    pub fn parse(base_offset: i64, bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let mut entries: Vec<(i64, u32)> = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let timestamp = i64::from_be_bytes(chunk[..8].try_into().ok()?);
            let offset = u32::from_be_bytes(chunk[8..].try_into().ok()?);
            let ascends = entries.last().is_none_or(|&(last, at)| timestamp > last && offset >= at);
            let exists = offset <= i32::MAX as u32 && base_offset.checked_add(i64::from(offset)).is_some();
            if !ascends || !exists {
                return None;
            }
            entries.push((timestamp, offset));
        }
        rest.is_empty().then_some(Self { base_offset, entries })
    }

    /// Adds an entry unless the timestamp is not above the last one: the index only rises.
    pub fn push(&mut self, timestamp: i64, offset: i64) {
        if self.entries.last().is_none_or(|&(last, _)| timestamp > last) {
            self.entries.push((timestamp, (offset - self.base_offset) as u32));
        }
    }

    /// An offset from which a search for the first record at or after `timestamp` may start.
    pub fn offset_before(&self, timestamp: i64) -> i64 {
        let after = self.entries.partition_point(|&(entry, _)| entry < timestamp);
        after.checked_sub(1).map_or(self.base_offset, |i| self.base_offset + i64::from(self.entries[i].1))
    }

    /// The largest timestamp and the last offset of its batch.
    pub fn last(&self) -> Option<(i64, i64)> {
        self.entries.last().map(|&(timestamp, offset)| (timestamp, self.base_offset + i64::from(offset)))
    }

    /// The largest timestamp known of the batches that end before `offset`.
    pub fn last_before(&self, offset: i64) -> Option<i64> {
        let relative = offset - self.base_offset;
        let after = self.entries.partition_point(|&(_, entry)| i64::from(entry) < relative);
        after.checked_sub(1).map(|i| self.entries[i].0)
    }

    /// The entries of batches that end before `offset`.
    pub fn up_to(&self, offset: i64) -> Self {
        let relative = offset - self.base_offset;
        let kept = self.entries.partition_point(|&(_, entry)| i64::from(entry) < relative);
        Self { base_offset: self.base_offset, entries: self.entries[..kept].to_vec() }
    }

    /// Timestamp and offset of each.
    pub fn entries(&self) -> impl Iterator<Item = (i64, i64)> {
        self.entries.iter().map(|&(timestamp, offset)| (timestamp, self.base_offset + i64::from(offset)))
    }

    /// Of the file.
    pub fn bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES) as u64
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for &(timestamp, offset) in &self.entries {
            bytes.extend_from_slice(&timestamp.to_be_bytes());
            bytes.extend_from_slice(&offset.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::TimeIndex;

    #[test]
    fn only_rises_and_finds_where_to_start() {
        let mut index = TimeIndex::new(50);
        for (timestamp, offset) in [(1000, 52), (900, 55), (1000, 57), (2000, 60)] {
            index.push(timestamp, offset);
        }
        assert_eq!([0, 1000, 1001, 5000].map(|timestamp| index.offset_before(timestamp)), [50, 50, 52, 60]);
        assert_eq!(index.last(), Some((2000, 60)));
        assert_eq!(
            [52, 53, 60, 61].map(|end| index.last_before(end)),
            [None, Some(1000), Some(1000), Some(2000)]
        );
        assert_eq!(TimeIndex::parse(50, &index.to_bytes()), Some(index.clone()));
        assert_eq!(TimeIndex::parse(50, &[0; 24]), None, "zeros after a power loss");
        assert_eq!(TimeIndex::parse(i64::MAX - 9, &index.to_bytes()), None, "offsets that do not exist");
    }
}
