//! Kafka's `<offset>.snapshot`: the producers as all batches before that offset left them. `int16` version 1, `uint32`
//! CRC-32C of everything behind itself, `int32` count, then 46 bytes a producer: `int64` id, `int16` epoch, `int32` last
//! sequence, `int64` last offset and `int32` offset delta of the last batch, `int64` last timestamp, `int32` coordinator
//! epoch, `int64` first offset of the open transaction or -1; all big-endian. Of the last five batches only the last one
//! is in it.

use std::io;
use std::path::{Path, PathBuf};

use varve_records::crc32c;

use crate::error::{LogError, Result};
use crate::producer_state::{BatchMetadata, ProducerState};
use crate::segment::offset_in;
use crate::storage::{OpenMode, Storage};

const VERSION: i16 = 1;
const CRC_FROM: usize = 6;
const HEAD_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
const EXTENSION: &str = "snapshot";

/// The content of a snapshot.
pub fn encode<'a>(producers: impl ExactSizeIterator<Item = &'a ProducerState>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + producers.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(producers.len() as i32).to_be_bytes());
    for producer in producers {
        let batch = producer.last_batch();
        bytes.extend_from_slice(&producer.producer_id.to_be_bytes());
        bytes.extend_from_slice(&producer.producer_epoch.to_be_bytes());
        bytes.extend_from_slice(&producer.last_sequence().to_be_bytes());
        bytes.extend_from_slice(&batch.map_or(-1, |batch| batch.last_offset).to_be_bytes());
        bytes.extend_from_slice(&batch.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        bytes.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&producer.current_txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = crc32c(&bytes[CRC_FROM..]);
    bytes[2..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads [`encode`]; `None` when the bytes are not such a file, which nothing but a crash or damage explains.
pub fn decode(bytes: &[u8]) -> Option<Vec<ProducerState>> {
    let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
    let version = i16::from_be_bytes(head[..2].try_into().ok()?);
    let crc = u32::from_be_bytes(head[2..CRC_FROM].try_into().ok()?);
    let count = i32::from_be_bytes(head[CRC_FROM..].try_into().ok()?);
    let (entries, rest) = body.as_chunks::<ENTRY_BYTES>();
    let is_whole = rest.is_empty() && usize::try_from(count) == Ok(entries.len());
    if version != VERSION || !is_whole || crc32c(&bytes[CRC_FROM..]) != crc {
        return None;
    }
    Some(entries.iter().map(decode_entry).collect())
}

fn decode_entry(entry: &[u8; ENTRY_BYTES]) -> ProducerState {
    fn field<const N: usize>(entry: &[u8; ENTRY_BYTES], at: usize) -> [u8; N] {
        *entry[at..].first_chunk().expect("every field lies within the entry")
    }
    let last_offset = i64::from_be_bytes(field(entry, 14));
    let first_offset = i64::from_be_bytes(field(entry, 38));
    let batch = BatchMetadata {
        last_sequence: i32::from_be_bytes(field(entry, 10)),
        last_offset,
        offset_delta: i32::from_be_bytes(field(entry, 22)),
    };
    let mut producer = ProducerState::unknown(i64::from_be_bytes(field(entry, 0)));
    producer.producer_epoch = i16::from_be_bytes(field(entry, 8));
    producer.last_timestamp = i64::from_be_bytes(field(entry, 26));
    producer.coordinator_epoch = i32::from_be_bytes(field(entry, 34));
    producer.current_txn_first_offset = (first_offset >= 0).then_some(first_offset);
    producer.with_batch((last_offset >= 0).then_some(batch))
}

pub fn name(offset: i64) -> String {
    format!("{offset:020}.{EXTENSION}")
}

pub fn path(dir: &Path, offset: i64) -> PathBuf {
    dir.join(name(offset))
}

/// The offsets of the snapshots among `names`, ascending.
pub fn offsets(names: &[String]) -> Vec<i64> {
    let mut offsets: Vec<i64> =
        names.iter().filter_map(|name| offset_in(name, &format!(".{EXTENSION}"))).collect();
    offsets.sort_unstable();
    offsets
}

/// Writes a snapshot in place: its checksum tells half of one. One without producers is not flushed, because it is as
/// well found out from the log, and most logs have no producers.
pub fn write(storage: &dyn Storage, dir: &Path, offset: i64, content: &[u8]) -> Result<()> {
    let path = path(dir, offset);
    let file = storage.open(&path, OpenMode::Create).map_err(LogError::io("create", &path))?;
    file.write_at(&[content], 0).map_err(LogError::io("write", &path))?;
    if content.len() > HEAD_BYTES {
        file.sync_data().map_err(LogError::io("fsync", &path))?;
    }
    Ok(())
}

/// Removes a snapshot of batches that are not in the log any more. Made unreadable first: its name may come back after a
/// power loss, when other batches have taken their offsets.
pub fn revoke(storage: &dyn Storage, dir: &Path, offset: i64) -> Result<()> {
    let path = path(dir, offset);
    let file = storage.open(&path, OpenMode::ReadWrite).map_err(LogError::io("open", &path))?;
    let zeros = vec![0; file.len().map_err(LogError::io("read", &path))? as usize];
    file.write_at(&[&zeros], 0).map_err(LogError::io("write", &path))?;
    file.sync_data().map_err(LogError::io("fsync", &path))?;
    remove(storage, dir, offset)
}

/// Removes a snapshot that is not needed.
pub fn remove(storage: &dyn Storage, dir: &Path, offset: i64) -> Result<()> {
    let path = path(dir, offset);
    match storage.remove(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(LogError::io("remove", &path)),
    }
}

/// The producers at `offset`; `None` when there is no snapshot, or none that can be believed.
pub fn read(storage: &dyn Storage, dir: &Path, offset: i64) -> Result<Option<Vec<ProducerState>>> {
    let path = path(dir, offset);
    let file = match storage.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(LogError::io("open", &path))?,
    };
    let mut bytes = vec![0; file.len().map_err(LogError::io("read", &path))? as usize];
    let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
    Ok(decode(&bytes[..read]))
}
