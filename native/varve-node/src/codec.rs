use napi::Either;
use napi::bindgen_prelude::{Buffer, BufferSlice};
use napi_derive::napi;
use varve_records::{Codec, CodecError, Compression};

use crate::failure::Failure;

/// The codecs by the names that they have in Kafka.
#[napi(string_enum = "lowercase")]
pub enum NativeCodec {
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<NativeCodec> for Codec {
    fn from(codec: NativeCodec) -> Self {
        match codec {
            NativeCodec::Gzip => Self::Gzip,
            NativeCodec::Snappy => Self::Snappy,
            NativeCodec::Lz4 => Self::Lz4,
            NativeCodec::Zstd => Self::Zstd,
        }
    }
}

/// Compresses the concatenated records of a batch, framed as Kafka's Java client frames them; without a level at that of
/// the client.
#[napi(catch_unwind)]
pub fn compress(codec: NativeCodec, bytes: BufferSlice<'_>, level: Option<i32>) -> Buffer {
    let codec = Codec::from(codec);
    let compression = level.map_or_else(|| codec.into(), |level| Compression::at(codec, level));
    varve_records::compress(compression, &bytes).into()
}

/// The inverse of `compress`, for the framing of any of Kafka's clients.
#[napi(catch_unwind)]
pub fn decompress(codec: NativeCodec, bytes: BufferSlice<'_>, max_bytes: f64) -> Either<Buffer, Failure> {
    match varve_records::decompress(codec.into(), &bytes, max_bytes as usize) {
        Ok(decompressed) => Either::A(decompressed.into()),
        Err(error) => Either::B(error.into()),
    }
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        // As `@varve/records` calls them.
        let code = match error {
            CodecError::Limit { .. } => "VARVE_DECOMPRESSION_LIMIT",
            CodecError::Malformed { .. } => "VARVE_BATCH_INVALID",
        };
        Self { code: code.into(), message: error.to_string(), errno: None }
    }
}
