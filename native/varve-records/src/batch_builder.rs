use crate::batch_header::{
    HEADER_BYTES, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, TRANSACTIONAL_FLAG, seal,
};
use crate::record::RecordHeader;
use crate::varint::{write_varint, write_varlong};

/// Builds one uncompressed batch, sealed, at base offset 0 and without a leader epoch (-1): an append assigns both.
pub struct BatchBuilder {
    bytes: Vec<u8>,
    record: Vec<u8>,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    producer: Producer,
}

struct Producer {
    id: i64,
    epoch: i16,
    base_sequence: i32,
    transactional: bool,
}

impl BatchBuilder {
    /// `base_timestamp` is in milliseconds since the epoch.
    pub fn new(base_timestamp: i64) -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            record: Vec::new(),
            base_timestamp,
            max_timestamp: base_timestamp,
            count: 0,
            producer: Producer {
                id: NO_PRODUCER_ID,
                epoch: NO_PRODUCER_EPOCH,
                base_sequence: NO_SEQUENCE,
                transactional: false,
            },
        }
    }

    /// Makes the batch one of an idempotent producer (KIP-98), its first record with this sequence number.
    pub fn idempotent(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        self.producer = Producer { id, epoch, base_sequence, transactional: false };
        self
    }

    /// The same as part of a transaction.
    pub fn transactional(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        self.producer = Producer { id, epoch, base_sequence, transactional: true };
        self
    }

    /// Adds a record stamped with the base timestamp.
    pub fn push(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) -> &mut Self {
        self.push_at(self.base_timestamp, key, value, headers)
    }

    /// Adds a record with a timestamp of its own.
    pub fn push_at(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) -> &mut Self {
        let record = &mut self.record;
        record.clear();
        record.push(0);
        // As in Java, whose readers wrap the sum back.
        write_varlong(record, timestamp.wrapping_sub(self.base_timestamp));
        write_varint(record, self.count);
        write_bytes(record, key);
        write_bytes(record, value);
        write_varint(record, headers.len() as i32);
        for header in headers {
            write_bytes(record, Some(header.key.as_bytes()));
            write_bytes(record, header.value);
        }
        write_varint(&mut self.bytes, record.len() as i32);
        self.bytes.extend_from_slice(record);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        self
    }

    /// The finished batch. Panics when no record was added: there is no such batch.
    pub fn build(self) -> Vec<u8> {
        assert!(self.count > 0, "a batch has at least one record");
        let mut bytes = self.bytes;
        let batch_length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&(-1i32).to_be_bytes());
        bytes[16] = MAGIC;
        if self.producer.transactional {
            bytes[21..23].copy_from_slice(&TRANSACTIONAL_FLAG.to_be_bytes());
        }
        bytes[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer.id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer.epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.producer.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.count.to_be_bytes());
        seal(&mut bytes);
        bytes
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}
