//! Whether the index files of a segment agree with its batches.

use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use varve_records::BatchHeader;

use crate::error::{LogError, Result};
use crate::offset_index::OffsetIndex;
use crate::storage::{OpenMode, Storage};
use crate::time_index::TimeIndex;
use crate::txn_index::TransactionIndex;

/// What is wrong with a file.
type Wrong = (PathBuf, String);

/// Entries are looked at as the batches that they tell of come by.
pub struct IndexCheck {
    index_path: PathBuf,
    time_index_path: PathBuf,
    /// Offset and position.
    offsets: Option<Peekable<IntoIter<(i64, u64)>>>,
    /// Timestamp and offset.
    times: Option<Peekable<IntoIter<(i64, i64)>>>,
    index_entries: Option<u64>,
    time_index_entries: Option<u64>,
    last_time: Option<i64>,
    max_timestamp: i64,
    wrong: Vec<Wrong>,
}

impl IndexCheck {
    pub fn read(storage: &dyn Storage, dir: &Path, base_offset: i64, segment_bytes: u64) -> Result<Self> {
        let path = |extension: &str| dir.join(format!("{base_offset:020}.{extension}"));
        let mut wrong = Vec::new();
        let mut told = |path: &Path, detail: &str| wrong.push((path.to_path_buf(), detail.to_string()));
        let (index_path, time_index_path, txn_index_path) =
            (path("index"), path("timeindex"), path("txnindex"));
        let mut read = |path: &Path| -> Result<Option<Vec<u8>>> {
            match read_file(storage, path, segment_bytes)? {
                Content::Missing => {
                    told(path, "it is missing");
                    Ok(None)
                }
                Content::TooLong => {
                    told(path, "it is larger than the segment, so it is no index of it");
                    Ok(None)
                }
                Content::Bytes(bytes) => Ok(Some(bytes)),
            }
        };
        let (offsets, times) = (read(&index_path)?, read(&time_index_path)?);
        let parsed = offsets.as_deref().map(|bytes| OffsetIndex::parse(base_offset, bytes, segment_bytes));
        if parsed == Some(None) {
            told(&index_path, "its entries do not ascend, or lead behind the segment's end");
        }
        let offsets = parsed.flatten().map(|index| index.entries().collect::<Vec<_>>());
        let parsed = times.as_deref().map(|bytes| TimeIndex::parse(base_offset, bytes));
        if parsed == Some(None) {
            told(&time_index_path, "its entries do not ascend");
        }
        let times = parsed.flatten().map(|index| index.entries().collect::<Vec<_>>());
        // Of the third there is a file only where a transaction was aborted.
        if let Content::Bytes(bytes) = read_file(storage, &txn_index_path, u64::MAX)?
            && TransactionIndex::parse(base_offset, &bytes).is_none()
        {
            told(&txn_index_path, "it is no index of aborted transactions");
        }
        Ok(Self {
            index_path,
            time_index_path,
            index_entries: offsets.as_ref().map(|entries| entries.len() as u64),
            time_index_entries: times.as_ref().map(|entries| entries.len() as u64),
            last_time: times.as_ref().and_then(|entries| entries.last()).map(|&(timestamp, _)| timestamp),
            offsets: offsets.map(|entries| entries.into_iter().peekable()),
            times: times.map(|entries| entries.into_iter().peekable()),
            max_timestamp: -1,
            wrong,
        })
    }

    /// How many entries each has; `None` for one that is missing or cannot be read.
    pub fn entries(&self) -> (Option<u64>, Option<u64>) {
        (self.index_entries, self.time_index_entries)
    }

    /// The next batch, and where it starts.
    pub fn note(&mut self, header: &BatchHeader, position: u64) {
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        if let Some(offsets) = &mut self.offsets
            && let Some((offset, at)) = offsets.next_if(|&(_, at)| at <= position)
            // Kafka notes the last offset of what was appended at once, which may be several batches.
            && (at < position || offset < header.base_offset)
        {
            let detail =
                format!("its entry for offset {offset} leads to byte {at}, where that does not stand");
            self.wrong.push((self.index_path.clone(), detail));
            self.offsets = None;
        }
        let Some(times) = &mut self.times else { return };
        while let Some((timestamp, offset)) = times.next_if(|&(_, offset)| offset <= header.last_offset()) {
            if offset < header.base_offset || timestamp != self.max_timestamp {
                let detail =
                    format!("its entry of time {timestamp} at offset {offset} does not agree with the batch");
                self.wrong.push((self.time_index_path.clone(), detail));
                self.times = None;
                return;
            }
        }
    }

    /// What is wrong, once all batches have been noted. `is_complete` says whether the time index must know the largest
    /// time, as that of a segment does which nothing is appended to any more.
    pub fn finish(mut self, max_timestamp: Option<i64>, is_complete: bool) -> Vec<Wrong> {
        if let Some(offsets) = &mut self.offsets
            && let Some((offset, at)) = offsets.next()
        {
            let detail = format!("its entry for offset {offset} leads to byte {at}, where no batch starts");
            self.wrong.push((self.index_path, detail));
        }
        if let Some(times) = &mut self.times {
            if let Some((_, offset)) = times.next() {
                let detail = format!("it has an entry for offset {offset}, which the segment has not");
                self.wrong.push((self.time_index_path, detail));
            } else if is_complete && self.last_time != max_timestamp {
                let detail = "its last entry is not the segment's largest time, so that lookups miss records";
                self.wrong.push((self.time_index_path, detail.into()));
            }
        }
        self.wrong
    }
}

enum Content {
    Missing,
    TooLong,
    Bytes(Vec<u8>),
}

fn read_file(storage: &dyn Storage, path: &Path, most: u64) -> Result<Content> {
    let file = match storage.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Missing),
        opened => opened.map_err(LogError::io("open", path))?,
    };
    let length = file.len().map_err(LogError::io("read", path))?;
    if length > most {
        return Ok(Content::TooLong);
    }
    let mut bytes = vec![0; length as usize];
    let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", path))?;
    bytes.truncate(read);
    Ok(Content::Bytes(bytes))
}
