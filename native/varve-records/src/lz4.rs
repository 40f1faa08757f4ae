//! The LZ4 frame (`lz4_Frame_format.md` of the lz4 project), one per batch.

use std::io::Read;

use lz4::{BlockMode as HighBlockMode, ContentChecksum, EncoderBuilder};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::codec::{Codec, CodecError, IN_MEMORY, room_for, write_within};

const MAGIC: [u8; 4] = 0x184d_2204u32.to_le_bytes();
const CONTENT_CHECKSUM: u8 = 0x04;
const CONTENT_SIZE: u8 = 0x08;
const BLOCK_CHECKSUM: u8 = 0x10;
const DICTIONARY_ID: u8 = 0x01;
const UNCOMPRESSED: u32 = 1 << 31;

pub fn compress(bytes: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, room_for(bytes));
    write_within(&mut encoder, bytes, max_bytes, |encoder| encoder.get_ref().len())?;
    Some(encoder.finish().expect(IN_MEMORY))
}

/// The same frame by LZ4 HC, which takes longer and makes it smaller. `level` is one of its own, from 1 on.
pub fn compress_high(bytes: &[u8], level: i32, max_bytes: usize) -> Option<Vec<u8>> {
    let mut encoder = EncoderBuilder::new()
        .block_size(lz4::BlockSize::Max64KB)
        .block_mode(HighBlockMode::Independent)
        .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
        .checksum(ContentChecksum::NoChecksum)
        // Of frames, LZ4 takes 1 for its fast compression; of blocks, for the same as 2.
        .level(level.max(2) as u32)
        .build(room_for(bytes))
        .expect(IN_MEMORY);
    write_within(&mut encoder, bytes, max_bytes, |encoder| encoder.writer().len())?;
    let (frame, ended) = encoder.finish();
    ended.expect(IN_MEMORY);
    Some(frame)
}

pub fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, CodecError> {
    check_extent(bytes).map_err(|detail| Codec::Lz4.malformed(detail))?;
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(3).min(max_bytes));
    let mut decoder = FrameDecoder::new(bytes);
    // The decoder takes an empty block for the end, so that the bytes say when everything was read.
    while !decoder.get_ref().is_empty() {
        let room = ((max_bytes - out.len()) as u64).saturating_add(1);
        decoder.by_ref().take(room).read_to_end(&mut out).map_err(|e| Codec::Lz4.malformed(e))?;
        if out.len() > max_bytes {
            return Err(Codec::Lz4.limit(max_bytes));
        }
    }
    Ok(out)
}

/// Walks the blocks by their lengths alone: the bytes must be exactly one frame. The decoder would take a frame that is
/// cut off between two blocks for a whole one, and whatever stands behind it for another.
fn check_extent(bytes: &[u8]) -> Result<(), &'static str> {
    if !bytes.starts_with(&MAGIC) {
        return Err("it is not an LZ4 frame");
    }
    let flags = *bytes.get(4).ok_or("the frame header is cut short")?;
    let sized = |flag, bytes| if flags & flag != 0 { bytes } else { 0 };
    let mut at = 7 + sized(CONTENT_SIZE, 8) + sized(DICTIONARY_ID, 4);
    loop {
        let word =
            bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or("the frame has no end mark")?;
        let word = u32::from_le_bytes(*word);
        at += 4;
        if word == 0 {
            break;
        }
        at += (word & !UNCOMPRESSED) as usize + sized(BLOCK_CHECKSUM, 4);
    }
    if at + sized(CONTENT_CHECKSUM, 4) == bytes.len() {
        Ok(())
    } else {
        Err("its bytes are not exactly one frame")
    }
}
