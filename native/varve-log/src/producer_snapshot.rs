//! Kafka's `<offset>.snapshot`: the producers as all batches before that offset left them. `int16` version 1, `uint32`
//! CRC-32C of everything behind itself, `int32` count, then 46 bytes a producer: `int64` id, `int16` epoch, `int32` last
//! sequence, `int64` last offset and `int32` offset delta of the last batch, `int64` last timestamp, `int32` coordinator
//! epoch, `int64` first offset of the open transaction or -1; all big-endian.
//!
//! Of a producer's last five batches Kafka keeps the last one. A retry of one before it would be out of sequence for a broker that
//! has been restarted: the client would number it anew, and the log would have it twice. So behind Kafka's part, where
//! Kafka does not look, follow for each producer in the same order the batches before its last, oldest first: `int8` count, then
//! `int32` last sequence, `int64` last offset and `int32` offset delta of each. Where no producer has any there is nothing.

use std::io;
use std::path::{Path, PathBuf};

use varve_records::crc32c;

use crate::error::{LogError, Result};
use crate::producer_state::{BATCHES, BatchMetadata, ProducerState};
use crate::segment::offset_in;
use crate::storage::{OpenMode, Storage};

const VERSION: i16 = 1;
const CRC_FROM: usize = 6;
const HEAD_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
const BATCH_BYTES: usize = 16;
const EXTENSION: &str = "snapshot";

/// The content of a snapshot.
pub fn encode<'a>(producers: impl ExactSizeIterator<Item = &'a ProducerState>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + producers.len() * ENTRY_BYTES);
    let mut earlier = Vec::new();
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
        earlier.push(producer.earlier_batches());
    }
    if earlier.iter().any(|batches| !batches.is_empty()) {
        earlier.into_iter().for_each(|batches| encode_batches(batches, &mut bytes));
    }
    let crc = crc32c(&bytes[CRC_FROM..]);
    bytes[2..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_batches(batches: &[BatchMetadata], bytes: &mut Vec<u8>) {
    bytes.push(batches.len() as u8);
    for batch in batches {
        bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
        bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
        bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
    }
}

/// Reads [`encode`], or what Kafka has written; `None` when the bytes are no such file, which nothing but a crash or damage
/// explains.
pub fn decode(bytes: &[u8]) -> Option<Vec<ProducerState>> {
    let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
    let version = i16::from_be_bytes(head[..2].try_into().ok()?);
    let crc = u32::from_be_bytes(head[2..CRC_FROM].try_into().ok()?);
    if version != VERSION || crc32c(&bytes[CRC_FROM..]) != crc {
        return None;
    }
    let count = usize::try_from(i32::from_be_bytes(head[CRC_FROM..].try_into().ok()?)).ok()?;
    let (entries, mut behind) = body.split_at_checked(count.checked_mul(ENTRY_BYTES)?)?;
    let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
    if behind.is_empty() {
        return entries.iter().map(|entry| decode_entry(entry, Vec::new())).collect();
    }
    let producers: Option<Vec<_>> =
        entries.iter().map(|entry| decode_entry(entry, decode_batches(&mut behind)?)).collect();
    producers.filter(|_| behind.is_empty())
}

fn decode_batches(bytes: &mut &[u8]) -> Option<Vec<BatchMetadata>> {
    let (&count, rest) = bytes.split_first().filter(|&(&count, _)| usize::from(count) < BATCHES)?;
    let (batches, rest) = rest.split_at_checked(usize::from(count) * BATCH_BYTES)?;
    *bytes = rest;
    let (batches, _) = batches.as_chunks::<BATCH_BYTES>();
    let decoded = batches.iter().map(|batch| BatchMetadata {
        last_sequence: i32::from_be_bytes(field(batch, 0)),
        last_offset: i64::from_be_bytes(field(batch, 4)),
        offset_delta: i32::from_be_bytes(field(batch, 12)),
    });
    Some(decoded.collect())
}

fn field<const N: usize>(entry: &[u8], at: usize) -> [u8; N] {
    *entry[at..].first_chunk().expect("every field lies within its entry")
}

fn decode_entry(entry: &[u8; ENTRY_BYTES], mut batches: Vec<BatchMetadata>) -> Option<ProducerState> {
    let last_offset = i64::from_be_bytes(field(entry, 14));
    let first_offset = i64::from_be_bytes(field(entry, 38));
    if last_offset >= 0 {
        batches.push(BatchMetadata {
            last_sequence: i32::from_be_bytes(field(entry, 10)),
            last_offset,
            offset_delta: i32::from_be_bytes(field(entry, 22)),
        });
    } else if !batches.is_empty() {
        return None;
    }
    let mut producer = ProducerState::unknown(i64::from_be_bytes(field(entry, 0)));
    producer.producer_epoch = i16::from_be_bytes(field(entry, 8));
    producer.last_timestamp = i64::from_be_bytes(field(entry, 26));
    producer.coordinator_epoch = i32::from_be_bytes(field(entry, 34));
    producer.current_txn_first_offset = (first_offset >= 0).then_some(first_offset);
    Some(producer.with_batches(batches))
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
    let written = file.write_at(&[content], 0).map_err(LogError::io("write", &path));
    if written.is_err() {
        // Half of one is believed by nobody. Where it cannot be removed either, the first failure says why.
        drop(storage.remove(&path));
        return written;
    }
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
