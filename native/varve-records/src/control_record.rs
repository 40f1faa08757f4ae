use crate::batch_header::{
    BatchHeader, CONTROL_FLAG, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC, TRANSACTIONAL_FLAG, seal,
};
use crate::record::Record;
use crate::varint::{read_varint, write_varint};

/// The record that ends a transaction in one partition, alone in its control batch (KIP-98): the key is `int16` version
/// and `int16` type, 0 abort or 1 commit; the value `int16` version and the `int32` epoch of the transaction coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub committed: bool,
    pub coordinator_epoch: i32,
    /// Of the record, in ms.
    pub timestamp: i64,
}

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const VERSION: i16 = 0;

impl EndTransactionMarker {
    /// Reads the marker in a control batch, of which `batch` must be all the bytes; `None` when the batch holds something
    /// else. What a later version adds to key or value is not looked at, as in Kafka.
    pub fn parse(batch: &[u8]) -> Option<Self> {
        let header = BatchHeader::parse(batch)?;
        if !header.is_control() || header.is_compressed() || header.records_count != 1 {
            return None;
        }
        let mut at = HEADER_BYTES;
        let length = usize::try_from(read_varint(batch, &mut at)?).ok()?;
        let record = Record::parse(batch.get(at..at.checked_add(length)?)?)?;
        let timestamp = record.timestamp(&header);
        let (key, value) = (record.key?, record.value?);
        if i16::from_be_bytes(*key.first_chunk()?) < VERSION {
            return None;
        }
        let committed = match i16::from_be_bytes(*key.get(2..)?.first_chunk()?) {
            ABORT => false,
            COMMIT => true,
            _ => return None,
        };
        if i16::from_be_bytes(*value.first_chunk()?) < VERSION {
            return None;
        }
        let coordinator_epoch = i32::from_be_bytes(*value.get(2..)?.first_chunk()?);
        Some(Self { committed, coordinator_epoch, timestamp })
    }

    /// The marker's control batch, sealed, at base offset 0 and without a leader epoch (-1): an append assigns both.
    pub fn to_batch(&self, producer_id: i64, producer_epoch: i16) -> Vec<u8> {
        let kind = if self.committed { COMMIT } else { ABORT };
        let mut record = vec![0, 0, 0];
        write_varint(&mut record, 4);
        record.extend_from_slice(&VERSION.to_be_bytes());
        record.extend_from_slice(&kind.to_be_bytes());
        write_varint(&mut record, 6);
        record.extend_from_slice(&VERSION.to_be_bytes());
        record.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        write_varint(&mut record, 0);
        let mut batch = vec![0; HEADER_BYTES];
        write_varint(&mut batch, record.len() as i32);
        batch.extend_from_slice(&record);
        let batch_length = (batch.len() - LENGTH_PREFIX_BYTES) as i32;
        batch[8..12].copy_from_slice(&batch_length.to_be_bytes());
        batch[12..16].copy_from_slice(&(-1i32).to_be_bytes());
        batch[16] = MAGIC;
        batch[21..23].copy_from_slice(&(TRANSACTIONAL_FLAG | CONTROL_FLAG).to_be_bytes());
        batch[27..35].copy_from_slice(&self.timestamp.to_be_bytes());
        batch[35..43].copy_from_slice(&self.timestamp.to_be_bytes());
        batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&(-1i32).to_be_bytes());
        batch[57..61].copy_from_slice(&1i32.to_be_bytes());
        seal(&mut batch);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, BatchRules, assign_epoch, assign_offset, validate};

    /// The batch at offset 4 of `fx-txn-0`, as a Kafka 4.4 broker wrote it: the abort of a transaction of producer 1.
    const ABORT_BY_KAFKA: &[u8] = &[
        0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0x42, 0, 0, 0, 0, 2, 0xef, 0xcd, 0x76, 0x29, 0, 0x30, 0, 0, 0, 0, 0,
        0, 1, 0xa2, 9, 0x4a, 0x8e, 0x4a, 0, 0, 1, 0xa2, 9, 0x4a, 0x8e, 0x4a, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0x20, 0, 0, 0, 8, 0, 0, 0, 0, 0xc, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn reads_and_writes_kafkas_markers() {
        let marker = EndTransactionMarker::parse(ABORT_BY_KAFKA).unwrap();
        let expected =
            EndTransactionMarker { committed: false, coordinator_epoch: 0, timestamp: 1_795_452_210_762 };
        assert_eq!(marker, expected);
        let mut batch = marker.to_batch(1, 0);
        assert!(validate(&mut batch, &BatchRules::new(1000)).is_ok());
        assign_offset(&mut batch, 4);
        assign_epoch(&mut batch, 0);
        assert_eq!(batch, ABORT_BY_KAFKA);
    }

    #[test]
    fn reads_back_what_it_writes() {
        for committed in [true, false] {
            let marker = EndTransactionMarker { committed, coordinator_epoch: i32::MAX, timestamp: -1 };
            assert_eq!(EndTransactionMarker::parse(&marker.to_batch(7, 3)), Some(marker));
        }
    }

    #[test]
    fn nothing_else_is_a_marker() {
        let mut builder = BatchBuilder::new(1);
        builder.push(Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 0]), &[]);
        assert_eq!(EndTransactionMarker::parse(&builder.build()), None, "no control batch");
        let good =
            EndTransactionMarker { committed: true, coordinator_epoch: 1, timestamp: 1 }.to_batch(1, 0);
        for length in 0..good.len() - 1 {
            assert_eq!(EndTransactionMarker::parse(&good[..length]), None, "{length} bytes");
        }
        let mut leader_change = good.clone();
        leader_change[69] = 2;
        assert_eq!(EndTransactionMarker::parse(&leader_change), None);
        for at in 0..good.len() {
            for value in [0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = EndTransactionMarker::parse(&bad);
            }
        }
    }
}
