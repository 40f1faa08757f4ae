use std::fmt;
use std::io::{Read, Write};

use crate::batch_header::CODEC_MASK;
use crate::compression::Compression;
use crate::{lz4, snappy};

/// How the records of a batch are compressed; the numbers are those of attribute bits 0–2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// Why bytes could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// They would expand to more than the caller allows.
    Limit { codec: Codec, max_bytes: u64 },
    /// They are not what the codec writes.
    Malformed { codec: Codec, detail: String },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { codec, max_bytes } => {
                write!(f, "the {codec} data expands to more than {max_bytes} bytes")
            }
            Self::Malformed { codec, detail } => {
                write!(f, "the {codec} data cannot be decompressed: {detail}")
            }
        }
    }
}

impl std::error::Error for CodecError {}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["none", "gzip", "snappy", "lz4", "zstd"][*self as usize])
    }
}

impl Codec {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec that a batch's attributes name, if there is one of that number.
    pub fn of(attributes: u16) -> Option<Self> {
        Self::ALL.get(usize::from(attributes & CODEC_MASK)).copied()
    }

    pub(crate) fn malformed(self, detail: impl fmt::Display) -> CodecError {
        CodecError::Malformed { codec: self, detail: detail.to_string() }
    }

    pub(crate) fn limit(self, max_bytes: usize) -> CodecError {
        CodecError::Limit { codec: self, max_bytes: max_bytes as u64 }
    }
}

/// Compresses the concatenated records of a batch, framed as Kafka's Java client frames them: gzip as RFC 1952, snappy in
/// xerial's blocks, lz4 as one frame of independent blocks of 64 KiB without checksums, zstd as one frame.
pub fn compress(compression: impl Into<Compression>, bytes: &[u8]) -> Vec<u8> {
    compress_within(compression.into(), bytes, usize::MAX).expect("there is no limit")
}

/// The same; nothing where it comes to more than `max_bytes`, which is noticed on the way and not at the end.
pub fn compress_within(compression: Compression, bytes: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let level = compression.level();
    let out = match compression.codec() {
        Codec::None if bytes.len() > max_bytes => return None,
        Codec::None => bytes.to_vec(),
        Codec::Gzip => {
            let gzip_level =
                u32::try_from(level).map_or_else(|_| Default::default(), flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(room_for(bytes), gzip_level);
            write_within(&mut encoder, bytes, max_bytes, |encoder| encoder.get_ref().len())?;
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Snappy => snappy::compress(bytes, max_bytes)?,
        Codec::Lz4 if level == Compression::DEFAULT_LZ4_LEVEL => lz4::compress(bytes, max_bytes)?,
        Codec::Lz4 => lz4::compress_high(bytes, level, max_bytes)?,
        Codec::Zstd => {
            let mut compressor = zstd::bulk::Compressor::new(level).expect(IN_MEMORY);
            let enough = zstd::zstd_safe::compress_bound(bytes.len());
            let mut out = Vec::with_capacity(max_bytes.saturating_add(ZSTD_SLACK_BYTES).min(enough));
            // There is nothing else that it could fail for.
            compressor.compress_to_buffer(bytes, &mut out).ok()?;
            out
        }
    };
    (out.len() <= max_bytes).then_some(out)
}

/// More than what zstd wants to have free for a block, however small that turns out.
const ZSTD_SLACK_BYTES: usize = 256 << 10;

pub(crate) const IN_MEMORY: &str = "memory is all that it needs";

pub(crate) fn room_for(bytes: &[u8]) -> Vec<u8> {
    Vec::with_capacity(bytes.len().min(1 << 20) / 2)
}

/// Hands an encoder pieces until all are written, or what has come out of it is too much.
pub(crate) fn write_within<E: Write>(
    encoder: &mut E,
    bytes: &[u8],
    max_bytes: usize,
    written: impl Fn(&E) -> usize,
) -> Option<()> {
    for piece in bytes.chunks(64 << 10) {
        encoder.write_all(piece).expect(IN_MEMORY);
        if written(encoder) > max_bytes {
            return None;
        }
    }
    Some(())
}

/// The inverse of [`compress`], for whatever framing Kafka's clients write: raw snappy is read as well. Takes memory for
/// at most `max_bytes` of output whatever the input claims, besides the window of a zstd frame (128 MiB at most).
pub fn decompress(codec: Codec, bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, CodecError> {
    match codec {
        Codec::None if bytes.len() > max_bytes => Err(codec.limit(max_bytes)),
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => {
            read_within(codec, flate2::bufread::MultiGzDecoder::new(bytes), bytes.len(), max_bytes)
        }
        Codec::Snappy => snappy::decompress(bytes, max_bytes),
        Codec::Lz4 => lz4::decompress(bytes, max_bytes),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|e| codec.malformed(e))?;
            read_within(codec, decoder, bytes.len(), max_bytes)
        }
    }
}

/// Reads a decoder to its end, or to one byte more than is allowed.
fn read_within(
    codec: Codec,
    decoder: impl Read,
    compressed: usize,
    max_bytes: usize,
) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(compressed.saturating_mul(3).min(max_bytes));
    let allowed = max_bytes as u64;
    decoder.take(allowed.saturating_add(1)).read_to_end(&mut out).map_err(|e| codec.malformed(e))?;
    if out.len() > max_bytes { Err(codec.limit(max_bytes)) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_gets_no_more_once_too_much_has_come_out() {
        let bytes = vec![0; 10 << 20];
        let mut encoder = Vec::new();
        assert_eq!(write_within(&mut encoder, &bytes, 100_000, Vec::len), None);
        assert!(encoder.len() < 200_000, "{} bytes", encoder.len());
        let mut encoder = Vec::new();
        assert_eq!(write_within(&mut encoder, &bytes, bytes.len(), Vec::len), Some(()));
        assert_eq!(encoder, bytes);
    }
}
