//! The two sparse indexes of a segment as their files have them. Those have no checksum, and none is needed: what they say
//! is in the batches as well, from which they are rebuilt where they cannot be right.

use std::io;
use std::path::Path;

use super::{Indexes, NO_TIMESTAMP, Segment, Walk};
use crate::batch_reader::{Access, Step};
use crate::error::{LogError, Result};
use crate::offset_index::OffsetIndex;
use crate::storage::OpenMode;
use crate::time_index::TimeIndex;

/// Of Kafka and of [`crate::LogConfig`], for indexes that are rebuilt without knowing the configuration.
pub const DEFAULT_INTERVAL_BYTES: u64 = 4096;

impl Segment {
    /// The indexes as their files have them, or as the batches say where those cannot be right.
    pub(super) fn load_indexes(&self, bytes: u64) -> Result<Indexes> {
        match self.read_indexes(bytes)? {
            Some(indexes) if self.has_last_time(&indexes, bytes)? => Ok(indexes),
            // What follows a bad batch cannot be indexed; a read that gets there reports it.
            _ => Ok(self.rebuild_indexes(bytes, DEFAULT_INTERVAL_BYTES)?.0),
        }
    }

    /// The indexes as their files have them; `None` when a file is missing or cannot be right.
    pub fn read_indexes(&self, segment_bytes: u64) -> Result<Option<Indexes>> {
        let (FileContent::Bytes(offsets), FileContent::Bytes(times)) =
            (self.read_file(&self.index_path())?, self.read_file(&self.time_index_path())?)
        else {
            return Ok(None);
        };
        let Some(offsets) = OffsetIndex::parse(self.base_offset, &offsets, segment_bytes) else {
            return Ok(None);
        };
        let Some(times) = TimeIndex::parse(self.base_offset, &times) else { return Ok(None) };
        let max_timestamp = times.last();
        Ok(Some(Indexes { offsets, times, bytes_since_entry: 0, max_timestamp }))
    }

    /// Whether the time index ends with the timestamp of the batch that it names, or is empty because the segment's
    /// batches have none. Lookups pass over a segment by that entry alone.
    fn has_last_time(&self, indexes: &Indexes, bytes: u64) -> Result<bool> {
        let (timestamp, offset) = indexes.times.last().unwrap_or((NO_TIMESTAMP, self.base_offset));
        let from = indexes.offsets.position_for(offset);
        match self.walk_to(offset, from, bytes, Access::Blocking) {
            Ok(Walk::Found(Some((header, _)))) => Ok(header.max_timestamp.max(NO_TIMESTAMP) == timestamp),
            Ok(Walk::Found(None)) => Ok(timestamp == NO_TIMESTAMP),
            // Not the time index is wrong but what lies around it, which the reads that get there find out.
            Ok(Walk::Misled) | Err(LogError::Corrupt { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes the files anew, with every batch in them. A crash may have left each as old as the last time when both were
    /// written, or without any part of itself: of such a time index the last entry is still true, but not of what follows
    /// it. Nor is what can be read of them bound to be on disk.
    pub fn renew_indexes(&self, interval_bytes: u64) -> Result<()> {
        let bytes = self.bytes();
        let indexes = match self.read_indexes(bytes)? {
            Some(indexes) if self.has_all(&indexes, bytes, interval_bytes)? => indexes,
            _ => match self.rebuild_indexes(bytes, interval_bytes)? {
                (indexes, true) => indexes,
                // Those that are there may be the only way past the bad batch.
                (_, false) => return Ok(()),
            },
        };
        self.content().indexes = Some(indexes);
        // Into new files: a power loss may mix what is written over other entries with those.
        self.remove(&self.index_path())?;
        self.remove(&self.time_index_path())?;
        self.write_indexes()
    }

    fn has_all(&self, indexes: &Indexes, bytes: u64, interval_bytes: u64) -> Result<bool> {
        let (largest, offset) = indexes.times.last().unwrap_or((NO_TIMESTAMP, self.base_offset));
        let (mut found, mut last_position) = (NO_TIMESTAMP, 0);
        let mut reader = self.reader(Access::Blocking, indexes.offsets.position_for(offset), bytes)?;
        while let Step::Batch(header, position) = reader.next_header()? {
            (found, last_position) = (found.max(header.max_timestamp), position);
        }
        let is_indexed = last_position <= indexes.offsets.last_position() + interval_bytes;
        Ok(is_indexed && found == largest)
    }

    pub(super) fn read_file(&self, path: &Path) -> Result<FileContent> {
        let file = match self.storage.open(path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileContent::Missing),
            opened => opened.map_err(LogError::io("open", path))?,
        };
        let length = file.len().map_err(LogError::io("read", path))?;
        // An entry is shorter than the batch it stands for; a file of another kind must not be read whole.
        if length > self.bytes() {
            return Ok(FileContent::TooLong);
        }
        let mut bytes = vec![0; length as usize];
        let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", path))?;
        bytes.truncate(read);
        Ok(FileContent::Bytes(bytes))
    }

    /// The indexes as the batches say they are, and whether no bad batch ended the walk before `bytes`.
    fn rebuild_indexes(&self, bytes: u64, interval_bytes: u64) -> Result<(Indexes, bool)> {
        let mut indexes = Indexes::new(self.base_offset);
        let mut reader = self.reader(Access::Blocking, 0, bytes)?;
        loop {
            match reader.next_header()? {
                Step::Batch(header, position) => indexes.note(&header, position, interval_bytes),
                Step::Bad { .. } => return Ok((indexes, false)),
                Step::End => return Ok((indexes, true)),
            }
        }
    }

    /// Called when an index led to a position where no batch starts. The files have no checksum: if all batches are
    /// sound the index was not, and is replaced. If one is not, the index may be the only way past it, and stays.
    pub(super) fn replace_indexes(&self, access: Access) -> Result<()> {
        if access == Access::Cached {
            return Err(LogError::WouldBlock);
        }
        let bytes = self.bytes();
        let (indexes, sound) = self.rebuild_indexes(bytes, DEFAULT_INTERVAL_BYTES)?;
        let mut content = self.content();
        // An append meanwhile has noted its batch in the old index only; the next read that is misled tries again.
        if sound && content.bytes == bytes {
            content.indexes = Some(indexes);
        }
        Ok(())
    }

    /// Writes both files from memory and makes them durable.
    pub fn write_indexes(&self) -> Result<()> {
        let (offsets, times) = {
            let mut content = self.content();
            let Some(indexes) = &mut content.indexes else { return Ok(()) };
            indexes.write_out()
        };
        self.write_file(&self.index_path(), &offsets)?;
        self.write_file(&self.time_index_path(), &times)
    }

    pub(super) fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let file = self.storage.open(path, OpenMode::Create).map_err(LogError::io("create", path))?;
        file.write_at(&[bytes], 0).map_err(LogError::io("write", path))?;
        file.sync_data().map_err(LogError::io("fsync", path))
    }
}

/// What an index file holds.
pub(super) enum FileContent {
    Bytes(Vec<u8>),
    Missing,
    /// More than an index of the segment can have.
    TooLong,
}
