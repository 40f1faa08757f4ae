//! Where damage ends: the next sound batch behind bytes that are none.

use std::path::Path;
use std::sync::Arc;

use varve_records::{BatchHeader, HEADER_BYTES, MAGIC};

use crate::batch_reader::{Access, BatchReader, Step};
use crate::error::{LogError, Result};
use crate::storage::File;

const CHUNK_BYTES: usize = 1 << 20;
const MAGIC_AT: usize = 16;

/// The next sound batch behind damage at the start of a range of bytes, and where it starts. If the length that the
/// damaged batch tells leads to one, or to the end, that is believed: a record may hold what looks like a batch.
pub fn next_sound(
    file: &Arc<dyn File>,
    path: &Path,
    base_offset: i64,
    (from, end): (u64, u64),
    next_offset: i64,
) -> Result<Option<(u64, BatchHeader)>> {
    let sound = |position: u64| -> Result<Option<(u64, BatchHeader)>> {
        let mut reader =
            BatchReader::new(file.clone(), path.into(), Access::Blocking, base_offset, position, end);
        match reader.next_checked()? {
            Step::Batch(header, position) if header.base_offset >= next_offset => {
                Ok(Some((position, header)))
            }
            _ => Ok(None),
        }
    };
    let mut chunk = vec![0; CHUNK_BYTES + HEADER_BYTES];
    let read = file.read_at(&mut chunk, from).map_err(LogError::io("read", path))?;
    if let Some(told) = BatchHeader::parse(&chunk[..read]).filter(BatchHeader::is_plausible) {
        let behind = from.saturating_add(told.total_bytes());
        if behind == end {
            return Ok(None);
        }
        if behind < end
            && let Some(found) = sound(behind)?
        {
            return Ok(Some(found));
        }
    }
    let mut at = from + 1;
    while at + (HEADER_BYTES as u64) <= end {
        let read = file.read_at(&mut chunk, at).map_err(LogError::io("read", path))?;
        let starts = (read + 1).saturating_sub(HEADER_BYTES).min(CHUNK_BYTES);
        for start in (0..starts).filter(|start| chunk[start + MAGIC_AT] == MAGIC) {
            let header = BatchHeader::parse(&chunk[start..read]).expect("a whole header was read");
            if header.base_offset >= next_offset
                && header.is_plausible()
                && let Some(found) = sound(at + start as u64)?
            {
                return Ok(Some(found));
            }
        }
        if starts == 0 {
            break;
        }
        at += starts as u64;
    }
    Ok(None)
}

/// Whether a batch of a format before magic 2 seems to start at `position`.
pub fn is_old_format(file: &Arc<dyn File>, path: &Path, position: u64) -> Result<bool> {
    let mut head = [0; MAGIC_AT + 1];
    let read = file.read_at(&mut head, position).map_err(LogError::io("read", path))?;
    let has_bytes = head[..MAGIC_AT].iter().any(|byte| *byte != 0);
    Ok(read == head.len() && has_bytes && head[MAGIC_AT] < MAGIC)
}
