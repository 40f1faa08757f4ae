//! Kafka's record batch, magic 2: parse, validate, build, rewrite, compress, checksum. No I/O.
//!
//! The layout is the one of Kafka's "Record Batch" documentation and KIP-98: a 61-byte big-endian header followed
//! by the records. `baseOffset` and `partitionLeaderEpoch` lie outside the CRC, which is why an append can assign
//! both in place.

mod batch_builder;
mod batch_header;
mod batch_records;
mod codec;
mod compression;
mod control_record;
mod crc;
mod lz4;
mod record;
mod rewrite;
mod snappy;
mod validate;
mod varint;

pub use batch_builder::BatchBuilder;
pub use batch_header::{
    BatchHeader, CHECKSUM_FROM, CODEC_MASK, CONTROL_FLAG, DELETE_HORIZON_FLAG, HEADER_BYTES,
    LENGTH_PREFIX_BYTES, LOG_APPEND_TIME_FLAG, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    TRANSACTIONAL_FLAG, assign_epoch, assign_log_append_time, assign_max_timestamp, assign_offset, seal,
};
pub use batch_records::{BatchRecords, RecordIter};
pub use codec::{Codec, CodecError, compress, compress_within, decompress};
pub use compression::Compression;
pub use control_record::EndTransactionMarker;
pub use crc::{crc32c, crc32c_combine};
pub use record::{Record, RecordHeader};
pub use rewrite::{empty_batch, recompress, recompress_within, rewrite};
pub use validate::{BatchError, BatchRules, BatchValidation, MAX_DECOMPRESSED_BYTES, validate};
pub use varint::{read_varint, read_varlong, write_varint, write_varlong};
