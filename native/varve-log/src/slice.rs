//! Reading: a slice pins a range of whole batches in one segment file without touching their records.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::batch_reader::{Access, Step};
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::log::Log;
use crate::segment::Segment;
use crate::storage::File;

/// Whole batches, from the one that holds the asked offset on. The file stays open, and readable, as long as the slice
/// lives, whatever becomes of the segment.
#[derive(Clone)]
pub struct Slice {
    file: Option<Arc<dyn File>>,
    path: PathBuf,
    pub position: u64,
    pub bytes: u64,
    /// The offset to ask for next.
    pub next_offset: i64,
}

/// What a slice may hold.
#[derive(Clone, Copy, Debug)]
pub struct SliceRequest {
    pub from: i64,
    /// Exclusive; the durable end when that is lower. Batches are whole, so the last one may reach beyond it, as the
    /// first one may start before `from`.
    pub up_to: i64,
    pub max_bytes: u64,
    /// Whether the first batch is given even if it is larger than `max_bytes`, so that a reader gets on (KIP-74).
    pub min_one_batch: bool,
}

/// Where a recent slice ended, so that a reader who goes on there needs no search.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    offset: i64,
    segment_base: i64,
    position: u64,
}

const CURSORS: usize = 16;

impl Slice {
    fn empty(from: i64) -> Self {
        Self { file: None, path: PathBuf::new(), position: 0, bytes: 0, next_offset: from }
    }

    /// Fills `buffer` from byte `at` of the slice on; fewer bytes than asked only under [`Access::Cached`].
    pub fn read(&self, buffer: &mut [u8], at: u64, access: Access) -> Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let wanted = (self.bytes.saturating_sub(at)).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..wanted];
        let read = match access {
            Access::Cached => file.try_read_at(buffer, self.position + at),
            Access::Blocking => file.read_at(buffer, self.position + at),
        }
        .map_err(LogError::io("read", &self.path))?;
        if read < wanted && access == Access::Blocking {
            return Err(self.too_short(at + read as u64));
        }
        Ok(read)
    }

    /// The file that holds the bytes, for whoever reads them without this slice; none when there are none.
    pub fn file(&self) -> Option<&Arc<dyn File>> {
        self.file.as_ref()
    }

    /// The error for a file that ends before byte `at` of the slice.
    pub fn too_short(&self, at: u64) -> LogError {
        self.corrupt(at, self.next_offset, "the file has become shorter".into())
    }

    /// The error of a system call on the file.
    pub fn refused(&self, action: &'static str, source: io::Error) -> LogError {
        LogError::Io { action, path: self.path.clone(), source: Arc::new(source) }
    }

    /// The error for bytes of this slice that do not parse.
    pub fn corrupt(&self, at: u64, offset: i64, detail: String) -> LogError {
        LogError::Corrupt { file: self.path.clone(), position: self.position + at, offset, detail }
    }
}

impl Log {
    /// A slice of what readers may see. With [`Access::Cached`] it is [`LogError::WouldBlock`] when an index or a batch
    /// header is not in memory.
    pub fn slice(&self, request: SliceRequest, access: Access) -> Result<Slice> {
        self.told(self.try_slice(request, access))
    }

    fn try_slice(&self, request: SliceRequest, access: Access) -> Result<Slice> {
        let mut from = request.from;
        loop {
            let (segment, next_base, visible) = self.segment_of(from)?;
            let limit = request.up_to.min(visible.offset);
            if from >= limit {
                break;
            }
            let end = self.end_within(&segment, next_base, limit, visible, access)?;
            let start = match self.cursor(from, segment.base_offset).filter(|&start| start <= end.position) {
                Some(start) => Some(start),
                None => segment.locate(from, end.position, access)?.map(|(_, position)| position),
            };
            match (start.filter(|&start| start < end.position), next_base) {
                (Some(start), _) => {
                    return self.cut_to_size(&segment, start, end, request, access);
                }
                // Nothing at or behind `from` is left in this segment, as after a compaction: the next one goes on.
                (None, Some(next_base)) => from = next_base,
                (None, None) => break,
            }
        }
        Ok(Slice::empty(request.from))
    }

    /// The segment that holds `offset`, where the next one starts, and how far readers may see.
    fn segment_of(&self, offset: i64) -> Result<(Arc<Segment>, Option<i64>, Mark)> {
        let state = self.state();
        let visible = self.visible(&state);
        let (start, end) = (state.segments[0].base_offset, visible.offset);
        if offset < start || offset > end {
            return Err(LogError::OffsetOutOfRange { dir: self.dir.clone(), offset, start, end });
        }
        let next = state.segments.partition_point(|segment| segment.base_offset <= offset);
        let next_base = state.segments.get(next).map(|segment| segment.base_offset);
        Ok((state.segments[next - 1].clone(), next_base, visible))
    }

    /// How far readers may see in `segment`, as offset and position.
    fn end_within(
        &self,
        segment: &Segment,
        next_base: Option<i64>,
        limit: i64,
        visible: Mark,
        access: Access,
    ) -> Result<Mark> {
        let segment_base = segment.base_offset;
        let whole = if segment_base == visible.segment_base {
            visible
        } else {
            Mark { offset: next_base.unwrap_or(visible.offset), segment_base, position: segment.bytes() }
        };
        if limit >= whole.offset {
            return Ok(whole);
        }
        if let Some(position) = self.cursor(limit, segment_base) {
            return Ok(Mark { offset: limit, segment_base, position });
        }
        Ok(match segment.locate(limit - 1, whole.position, access)? {
            Some((header, position)) if header.base_offset < limit => {
                let position = position + header.total_bytes();
                Mark { offset: header.next_offset(), segment_base, position }
            }
            Some((_, position)) => Mark { offset: limit, segment_base, position },
            None => whole,
        })
    }

    fn cut_to_size(
        &self,
        segment: &Segment,
        start: u64,
        end: Mark,
        request: SliceRequest,
        access: Access,
    ) -> Result<Slice> {
        let (mut stop, mut next_offset) = (end.position, end.offset);
        let budget_end = start.saturating_add(request.max_bytes);
        if budget_end < end.position {
            let known =
                segment.with_indexes(access, |indexes| indexes.offsets.batch_start_before(budget_end))?;
            stop = known.max(start);
            next_offset = request.from;
            let mut reader = segment.reader(access, stop, end.position)?;
            loop {
                match reader.next_header()? {
                    Step::Batch(header, position) => {
                        next_offset = header.base_offset;
                        stop = position;
                        let takes = reader.position() <= budget_end;
                        if takes || (position == start && request.min_one_batch) {
                            stop = reader.position();
                            next_offset = header.next_offset();
                        }
                        if !takes {
                            break;
                        }
                    }
                    Step::End => break,
                    // The offset in front of the bad batch is learned from the batches before it.
                    Step::Bad { .. } if next_offset == request.from && stop > start => {
                        stop = start;
                        reader = segment.reader(access, start, end.position)?;
                    }
                    Step::Bad { position, .. } if position > start => {
                        stop = position;
                        break;
                    }
                    Step::Bad { position, offset, detail } => {
                        return Err(LogError::Corrupt { file: segment.log_path(), position, offset, detail });
                    }
                }
            }
            if stop == start {
                return Ok(Slice::empty(request.from));
            }
            if stop == end.position {
                next_offset = end.offset;
            }
        }
        self.remember(Cursor { offset: next_offset, segment_base: segment.base_offset, position: stop });
        Ok(Slice {
            file: Some(segment.file(access)?.clone()),
            path: segment.log_path(),
            position: start,
            bytes: stop - start,
            next_offset: next_offset.max(request.from),
        })
    }

    fn cursor(&self, offset: i64, segment_base: i64) -> Option<u64> {
        let cursors = self.cursors.lock().expect("never held across a panic");
        let found = cursors.iter().find(|c| c.offset == offset && c.segment_base == segment_base);
        found.map(|cursor| cursor.position)
    }

    fn remember(&self, cursor: Cursor) {
        let mut cursors = self.cursors.lock().expect("never held across a panic");
        if cursors.len() == CURSORS {
            cursors.pop_front();
        }
        cursors.push_back(cursor);
    }

    /// The base offset of the first batch with a record at or after `timestamp` (ms). Waits for the disk.
    pub fn batch_for_time(&self, timestamp: i64) -> Result<Option<i64>> {
        self.told(self.find_time(timestamp))
    }

    /// The base offset of the first batch that holds the largest timestamp. Waits for the disk.
    pub fn batch_of_max_timestamp(&self) -> Result<Option<i64>> {
        self.told(self.find_max_timestamp())
    }

    fn find_max_timestamp(&self) -> Result<Option<i64>> {
        let mut max: Option<i64> = None;
        for (segment, end) in self.visible_segments() {
            max = max.max(segment.max_timestamp(end)?);
        }
        max.map_or(Ok(None), |max| self.find_time(max))
    }

    fn find_time(&self, timestamp: i64) -> Result<Option<i64>> {
        for (segment, end) in self.visible_segments() {
            let (max, from) = segment.with_indexes(Access::Blocking, |indexes| {
                (indexes.max_timestamp(), indexes.times.offset_before(timestamp))
            })?;
            if max.is_none_or(|(max, _)| max < timestamp) {
                continue;
            }
            let Some((_, start)) = segment.locate(from, end.position, Access::Blocking)? else { continue };
            let mut reader = segment.reader(Access::Blocking, start, end.position)?;
            loop {
                match reader.next_header()? {
                    Step::Batch(header, _) if header.max_timestamp >= timestamp => {
                        return Ok(Some(header.base_offset));
                    }
                    Step::Batch(..) => {}
                    Step::End => break,
                    Step::Bad { position, offset, detail } => {
                        return Err(LogError::Corrupt { file: segment.log_path(), position, offset, detail });
                    }
                }
            }
        }
        Ok(None)
    }

    /// The segments that readers may see, each with its end.
    fn visible_segments(&self) -> Vec<(Arc<Segment>, Mark)> {
        let state = self.state();
        let visible = self.visible(&state);
        let seen = state.segments.partition_point(|segment| segment.base_offset <= visible.segment_base);
        let ends = state.segments.iter().skip(1).map(|next| next.base_offset);
        let ends = ends.chain([visible.offset]);
        let with_end = |(segment, offset): (&Arc<Segment>, i64)| {
            let end = match segment.base_offset == visible.segment_base {
                true => visible,
                false => Mark { offset, segment_base: segment.base_offset, position: segment.bytes() },
            };
            (segment.clone(), end)
        };
        state.segments[..seen].iter().zip(ends).map(with_end).collect()
    }

    /// Corrupt bytes make the log read-only, whoever meets them.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error @ LogError::Corrupt { .. }) = &result {
            self.report_corrupt(error.clone());
        }
        result
    }
}
