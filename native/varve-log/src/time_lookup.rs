//! Finds records by their times: where yesterday begins, and the newest record.
//!
//! The indexes and the headers of batches tell which batch to look into. That none of its records need be the one is why it
//! is looked into: those before the log's start are not there, and of a compacted batch those that are gone.

use std::collections::HashMap;
use std::sync::Arc;

use varve_records::{BatchError, BatchHeader, BatchRecords};

use crate::batch_reader::{Access, Step};
use crate::error::{LogError, Result};
use crate::expansion::expand_in_turn;
use crate::log::Log;
use crate::segment::Segment;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: i64,
    pub timestamp: i64,
}

/// A batch, where it is, and how far readers see in its segment.
struct Found {
    segment: Arc<Segment>,
    header: BatchHeader,
    position: u64,
    end: u64,
}

impl Log {
    /// The first record at or after `timestamp` (ms). Waits for the disk.
    pub fn offset_for_time(&self, timestamp: i64) -> Result<Option<TimedOffset>> {
        self.read_stably(|| {
            let start = self.start_offset();
            let mut from = start;
            while let Some(batch) = self.find_time(timestamp, from)? {
                let found = batch.first(start, |time| time >= timestamp)?;
                if found.is_some() {
                    return Ok(found);
                }
                from = batch.header.next_offset();
            }
            Ok(None)
        })
    }

    /// The first record with the largest timestamp. Waits for the disk.
    pub fn max_timestamp(&self) -> Result<Option<TimedOffset>> {
        self.read_stably(|| {
            let start = self.start_offset();
            let Some(batch) = self.find_max_timestamp()? else { return Ok(None) };
            match batch.newest(start)? {
                Some(newest) if newest.timestamp == batch.header.max_timestamp => Ok(Some(newest)),
                _ => self.newest_of_all(start),
            }
        })
    }

    /// Where the first batch that reaches `from` and says to have a record at or after `timestamp` (ms) starts, or the log
    /// where it starts within that batch. Waits for the disk.
    pub fn batch_for_time(&self, timestamp: i64, from: i64) -> Result<Option<i64>> {
        self.read_stably(|| Ok(self.find_time(timestamp, from)?.map(|found| self.start_in(&found))))
    }

    /// Where the first batch that says to hold the largest timestamp starts, or the log where it starts within that batch.
    /// Waits for the disk.
    pub fn batch_of_max_timestamp(&self) -> Result<Option<i64>> {
        self.read_stably(|| Ok(self.find_max_timestamp()?.map(|found| self.start_in(&found))))
    }

    fn start_in(&self, found: &Found) -> i64 {
        found.header.base_offset.max(self.start_offset())
    }

    fn find_max_timestamp(&self) -> Result<Option<Found>> {
        let mut max: Option<i64> = None;
        let start = self.start_offset();
        for (segment, end) in self.visible_segments() {
            max = max.max(segment.max_timestamp(start, end)?);
        }
        max.map_or(Ok(None), |max| self.find_time(max, start))
    }

    fn find_time(&self, timestamp: i64, from: i64) -> Result<Option<Found>> {
        let start = self.start_offset().max(from);
        for (segment, end) in self.visible_segments().into_iter().filter(|(_, end)| end.offset > start) {
            let (max, from) = segment.with_indexes(Access::Blocking, |indexes| {
                (indexes.max_timestamp(), indexes.times.offset_before(timestamp))
            })?;
            if max.is_none_or(|(max, _)| max < timestamp) {
                continue;
            }
            for found in batches(&segment, from.max(start), end.position)? {
                let found = found?;
                if found.header.max_timestamp >= timestamp {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Where the headers promise a time that no record has any more: looks into the batch that promises most, until one
    /// keeps to it, or what was found in one is more than all others promise.
    fn newest_of_all(&self, start: i64) -> Result<Option<TimedOffset>> {
        let mut newest_in: HashMap<i64, Option<TimedOffset>> = HashMap::new();
        loop {
            let mut best: Option<(i64, Found)> = None;
            for (segment, end) in self.visible_segments().into_iter().filter(|(_, end)| end.offset > start) {
                for found in batches(&segment, start, end.position)? {
                    let found = found?;
                    let time = match newest_in.get(&found.header.base_offset) {
                        Some(newest) => newest.map(|newest| newest.timestamp),
                        None => Some(found.header.max_timestamp),
                    };
                    if let Some(time) = time
                        && best.as_ref().is_none_or(|(most, _)| time > *most)
                    {
                        best = Some((time, found));
                    }
                }
            }
            let Some((_, batch)) = best else { return Ok(None) };
            let base_offset = batch.header.base_offset;
            if let Some(newest) = newest_in.get(&base_offset) {
                return Ok(*newest);
            }
            newest_in.insert(base_offset, batch.newest(start)?);
        }
    }
}

/// The batches of a segment from the one that holds `from` on.
fn batches(segment: &Arc<Segment>, from: i64, end: u64) -> Result<impl Iterator<Item = Result<Found>>> {
    let mut reader = match segment.locate(from, end, Access::Blocking)? {
        Some((_, position)) => Some(segment.reader(Access::Blocking, position, end)?),
        None => None,
    };
    let segment = segment.clone();
    Ok(std::iter::from_fn(move || match reader.as_mut()?.next_header() {
        Ok(Step::Batch(header, position)) => {
            Some(Ok(Found { segment: segment.clone(), header, position, end }))
        }
        Ok(Step::End) => None,
        Ok(Step::Bad { position, offset, detail }) => Some(Err(corrupt(&segment, position, offset, detail))),
        Err(error) => Some(Err(error)),
    }))
}

fn corrupt(segment: &Segment, position: u64, offset: i64, detail: String) -> LogError {
    LogError::Corrupt { file: segment.log_path(), position, offset, detail }
}

impl Found {
    /// The first record from `start` on whose time fits.
    fn first(&self, start: i64, fits: impl Fn(i64) -> bool) -> Result<Option<TimedOffset>> {
        self.look(start, |found: Option<TimedOffset>, record| {
            found.or(fits(record.timestamp).then_some(record))
        })
    }

    /// The first record from `start` on with the largest time of them.
    fn newest(&self, start: i64) -> Result<Option<TimedOffset>> {
        self.look(start, |newest: Option<TimedOffset>, record| match newest {
            Some(newest) if newest.timestamp >= record.timestamp => Some(newest),
            _ => Some(record),
        })
    }

    /// Goes through the records from `start` on.
    fn look(
        &self,
        start: i64,
        choose: impl Fn(Option<TimedOffset>, TimedOffset) -> Option<TimedOffset>,
    ) -> Result<Option<TimedOffset>> {
        let &Self { ref segment, ref header, position, end } = self;
        let mut reader = segment.reader(Access::Blocking, position, end)?;
        let bytes = match reader.next_whole()? {
            (Step::Batch(..), bytes) => bytes,
            (Step::Bad { position, offset, detail }, _) => {
                return Err(corrupt(segment, position, offset, detail));
            }
            (Step::End, _) => return Ok(None),
        };
        let looked: std::result::Result<_, BatchError> = expand_in_turn(|max_bytes| {
            let records = BatchRecords::open(*header, bytes, max_bytes)?;
            let mut chosen = None;
            for record in records.iter() {
                let record = record?;
                let found =
                    TimedOffset { offset: record.offset(header), timestamp: record.timestamp(header) };
                if found.offset >= start {
                    chosen = choose(chosen, found);
                }
            }
            Ok(chosen)
        });
        // As whoever reads it is told: the bytes are what was stored, and the log is none the worse for them.
        Ok(looked?)
    }
}
