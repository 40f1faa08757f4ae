/// Kafka's sparse `.index`: entries of eight bytes, `int32` relative offset and `int32` position, big-endian. An entry
/// says that the batch which starts at `position` ends with that offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetIndex {
    base_offset: i64,
    entries: Vec<(u32, u32)>,
}

const ENTRY_BYTES: usize = 8;

impl OffsetIndex {
    pub fn new(base_offset: i64) -> Self {
        Self { base_offset, entries: Vec::new() }
    }

    /// Reads a whole index file; `None` when it cannot be the index of a segment of `segment_bytes`, and must be
    /// rebuilt. The file carries no checksum.
    pub fn parse(base_offset: i64, bytes: &[u8], segment_bytes: u64) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let mut entries: Vec<(u32, u32)> = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let offset = u32::from_be_bytes(chunk[..4].try_into().ok()?);
            let position = u32::from_be_bytes(chunk[4..].try_into().ok()?);
            let ascends = entries.last().is_none_or(|&(last, at)| offset > last && position > at);
            if !ascends || u64::from(position) >= segment_bytes || offset > i32::MAX as u32 {
                return None;
            }
            entries.push((offset, position));
        }
        rest.is_empty().then_some(Self { base_offset, entries })
    }

    pub fn push(&mut self, last_offset: i64, position: u64) {
        self.entries.push(((last_offset - self.base_offset) as u32, position as u32));
    }

    /// A position at or before the batch that holds `offset`.
    pub fn position_for(&self, offset: i64) -> u64 {
        let relative = offset - self.base_offset;
        let after = self.entries.partition_point(|&(entry, _)| i64::from(entry) <= relative);
        after.checked_sub(1).map_or(0, |i| u64::from(self.entries[i].1))
    }

    /// The last batch start known to lie at or before `position`.
    pub fn batch_start_before(&self, position: u64) -> u64 {
        let after = self.entries.partition_point(|&(_, at)| u64::from(at) <= position);
        after.checked_sub(1).map_or(0, |i| u64::from(self.entries[i].1))
    }

    /// The last batch start in the index.
    pub fn last_position(&self) -> u64 {
        self.entries.last().map_or(0, |&(_, position)| u64::from(position))
    }

    /// The entries of batches that start before `position`.
    pub fn up_to(&self, position: u64) -> Self {
        let kept = self.entries.partition_point(|&(_, at)| u64::from(at) < position);
        Self { base_offset: self.base_offset, entries: self.entries[..kept].to_vec() }
    }

    /// Offset and position of each.
    pub fn entries(&self) -> impl Iterator<Item = (i64, u64)> {
        self.entries
            .iter()
            .map(|&(offset, position)| (self.base_offset + i64::from(offset), u64::from(position)))
    }

    /// Of the file.
    pub fn bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES) as u64
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for &(offset, position) in &self.entries {
            bytes.extend_from_slice(&offset.to_be_bytes());
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::OffsetIndex;

    fn index() -> OffsetIndex {
        let mut index = OffsetIndex::new(100);
        index.push(109, 4096);
        index.push(119, 8192);
        index
    }

    #[test]
    fn finds_the_batch_start_at_or_before_an_offset() {
        let found: Vec<u64> =
            [100, 108, 109, 118, 119, 500].map(|offset| index().position_for(offset)).to_vec();
        assert_eq!(found, [0, 0, 4096, 4096, 8192, 8192]);
    }

    #[test]
    fn finds_the_batch_start_at_or_before_a_position() {
        let found: Vec<u64> = [0, 4095, 4096, 8191, 9000].map(|at| index().batch_start_before(at)).to_vec();
        assert_eq!(found, [0, 0, 4096, 4096, 8192]);
    }

    #[test]
    fn reads_its_own_bytes_and_refuses_what_cannot_be_an_index() {
        let bytes = index().to_bytes();
        assert_eq!(OffsetIndex::parse(100, &bytes, 10_000), Some(index()));
        assert_eq!(OffsetIndex::parse(100, &bytes[..15], 10_000), None, "cut off");
        assert_eq!(OffsetIndex::parse(100, &bytes, 8192), None, "points behind the segment");
        assert_eq!(OffsetIndex::parse(100, &[0; 16], 10_000), None, "zeros after a power loss");
    }
}
