//! Snappy as Kafka's clients frame it. Java's writes what xerial's snappy-java does: a header, then blocks of at most
//! 32 KiB with an `int32` length each. librdkafka writes one raw block without a header.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use crate::codec::{Codec, CodecError};

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, version 1, oldest compatible version 1.
const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const BLOCK_BYTES: usize = 32 << 10;
/// A copy element of three bytes yields at most 64: no input expands further, whatever length it announces.
const MAX_RATIO: usize = 22;

pub fn compress(bytes: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let mut out = HEADER.to_vec();
    let mut encoder = Encoder::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let length_at = out.len();
        let at = length_at + 4;
        out.resize(at + max_compress_len(block.len()), 0);
        let length =
            encoder.compress(block, &mut out[at..]).expect("the output has the room snappy asks for");
        out[length_at..at].copy_from_slice(&(length as u32).to_be_bytes());
        out.truncate(at + length);
        if out.len() > max_bytes {
            return None;
        }
    }
    Some(out)
}

pub fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    if !bytes.starts_with(MAGIC) {
        append_block(&mut out, bytes, max_bytes)?;
        return Ok(out);
    }
    let Some(mut rest) = bytes.get(HEADER.len()..) else {
        return Err(Codec::Snappy.malformed("its header is cut short"));
    };
    while !rest.is_empty() {
        let cut_short = || Codec::Snappy.malformed("a block is cut short");
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let (block, behind) =
            behind.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_short)?;
        append_block(&mut out, block, max_bytes)?;
        rest = behind;
    }
    Ok(out)
}

fn append_block(out: &mut Vec<u8>, block: &[u8], max_bytes: usize) -> Result<(), CodecError> {
    let length = decompress_len(block).map_err(|e| Codec::Snappy.malformed(e))?;
    if length / MAX_RATIO > block.len() {
        return Err(Codec::Snappy.malformed(format!("{} bytes announce {length}", block.len())));
    }
    if length > max_bytes - out.len() {
        return Err(Codec::Snappy.limit(max_bytes));
    }
    let at = out.len();
    out.resize(at + length, 0);
    Decoder::new().decompress(block, &mut out[at..]).map_err(|e| Codec::Snappy.malformed(e))?;
    Ok(())
}
