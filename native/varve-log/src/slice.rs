//! Reading: a slice pins a range of whole batches in one segment file without touching their records.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::batch_reader::{Access, Step};
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::log::{Log, State};
use crate::segment::Segment;
use crate::storage::File;

/// Whole batches, from the one that holds the asked offset on. The file stays open, and readable, as long as the slice
/// lives, though the segment be deleted or compacted; only a truncation of the log takes bytes away from it.
#[derive(Clone)]
pub struct Slice {
    file: Option<Arc<dyn File>>,
    path: PathBuf,
    /// Where a truncation cut the file.
    cut: Arc<AtomicU64>,
    pub position: u64,
    pub bytes: u64,
    /// The offset to ask for next.
    pub next_offset: i64,
}

/// What a slice may hold.
#[derive(Clone, Copy, Debug)]
pub struct SliceRequest {
    pub from: i64,
    /// Exclusive; the end of what the reader sees when that is lower. Batches are whole, so the last one may reach beyond it, as the
    /// first one may start before `from`.
    pub up_to: i64,
    pub max_bytes: u64,
    /// Whether the first batch is given even if it is larger than `max_bytes`, so that a reader gets on (KIP-74).
    pub min_one_batch: bool,
}

/// Where a recent slice ended, so that a reader who goes on there needs no search.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    generation: u64,
    offset: i64,
    segment_base: i64,
    position: u64,
}

/// How far a reader sees.
#[derive(Clone, Copy)]
enum Sight {
    Durable,
    Written,
}

/// What a reader finds out about one offset under the log's lock.
struct Place {
    segment: Arc<Segment>,
    /// Where the next segment starts.
    next_base: Option<i64>,
    /// How far readers may see.
    visible: Mark,
    generation: u64,
}

const CURSORS: usize = 16;
const INDEXED_SEGMENTS: usize = 64;

impl Slice {
    fn empty(from: i64) -> Self {
        let cut = Arc::new(AtomicU64::new(u64::MAX));
        Self { file: None, path: PathBuf::new(), cut, position: 0, bytes: 0, next_offset: from }
    }

    /// Whether a truncation of the log has taken bytes of this slice away. Where its length has been promised to
    /// somebody, that promise cannot be kept any more.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) < self.position + self.bytes
    }

    /// Refuses a slice that [`Slice::is_cut`]; to be asked behind whatever reads the file.
    pub fn assert_whole(&self) -> Result<()> {
        if self.is_cut() { Err(LogError::Truncated { file: self.path.clone() }) } else { Ok(()) }
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
        // Asked behind the read: what was read before the cut is what stood there, and the cut is told before it is made.
        self.assert_whole()?;
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
        self.read_stably(|| self.try_slice(request, Sight::Durable, access))
    }

    /// The same of everything that is written, of which a power loss may take back what is not durable: for a follower,
    /// whose own copy may be the one that makes it safe.
    pub fn slice_written(&self, request: SliceRequest, access: Access) -> Result<Slice> {
        self.read_stably(|| self.try_slice(request, Sight::Written, access))
    }

    /// Reads again as long as segments were removed, replaced or cut meanwhile: what it then meets is no defect of them,
    /// and what it finds may be another file's, under the name of one that was replaced. Corrupt bytes otherwise make the
    /// log read-only, whoever meets them.
    pub(crate) fn read_stably<T>(&self, read: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            let generation = self.state().generation;
            match read() {
                Err(LogError::Corrupt { .. }) if self.state().generation != generation => {}
                Err(LogError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && self.state().generation != generation => {}
                Err(error @ LogError::Corrupt { .. }) => {
                    self.report_corrupt(error.clone());
                    return Err(error);
                }
                Ok(_) if self.state().generation != generation => {}
                told => return told,
            }
        }
    }

    fn try_slice(&self, request: SliceRequest, sight: Sight, access: Access) -> Result<Slice> {
        let mut from = request.from;
        loop {
            let place = self.place_of(from, sight)?;
            let limit = request.up_to.min(place.visible.offset);
            if from >= limit {
                break;
            }
            let end = self.end_within(&place, limit, access)?;
            let start = match self.cursor(from, &place).filter(|&start| start <= end.position) {
                Some(start) => Some(start),
                None => place.segment.locate(from, end.position, access)?.map(|(_, position)| position),
            };
            match (start.filter(|&start| start < end.position), place.next_base) {
                (Some(start), _) => return self.cut_to_size(&place, start, end, request, access),
                // Nothing at or behind `from` is left in this segment, as after a compaction: the next one goes on.
                (None, Some(next_base)) => from = next_base,
                (None, None) => break,
            }
        }
        Ok(Slice::empty(request.from))
    }

    fn place_of(&self, offset: i64, sight: Sight) -> Result<Place> {
        let mut state = self.state();
        let visible = match sight {
            Sight::Durable => self.visible(&state),
            Sight::Written => state.end_mark(),
        };
        let (start, end) = (state.start_offset, visible.offset);
        if offset < start || offset > end {
            return Err(self.out_of_range(offset, start, end));
        }
        let next = state.segments.partition_point(|segment| segment.base_offset <= offset);
        let next_base = state.segments.get(next).map(|segment| segment.base_offset);
        let segment = state.segments[next.saturating_sub(1)].clone();
        if segment.base_offset < state.unflushed_base {
            state.keep_indexes_of(segment.base_offset);
        }
        Ok(Place { segment, next_base, visible, generation: state.generation })
    }

    /// How far readers may see in the segment, as offset and position.
    fn end_within(&self, place: &Place, limit: i64, access: Access) -> Result<Mark> {
        let &Place { ref segment, next_base, visible, .. } = place;
        let segment_base = segment.base_offset;
        let whole = if segment_base == visible.segment_base {
            visible
        } else {
            Mark { offset: next_base.unwrap_or(visible.offset), segment_base, position: segment.bytes() }
        };
        if limit >= whole.offset {
            return Ok(whole);
        }
        if let Some(position) = self.cursor(limit, place) {
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
        place: &Place,
        start: u64,
        end: Mark,
        request: SliceRequest,
        access: Access,
    ) -> Result<Slice> {
        let segment = &place.segment;
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
        let (generation, segment_base) = (place.generation, segment.base_offset);
        self.remember(Cursor { generation, offset: next_offset, segment_base, position: stop });
        Ok(Slice {
            file: Some(segment.file(access)?),
            path: segment.log_path(),
            cut: segment.cut().clone(),
            position: start,
            bytes: stop - start,
            next_offset: next_offset.max(request.from),
        })
    }

    fn cursor(&self, offset: i64, place: &Place) -> Option<u64> {
        let known = (place.generation, offset, place.segment.base_offset);
        let cursors = self.cursors.lock().expect("never held across a panic");
        let found = cursors.iter().find(|c| (c.generation, c.offset, c.segment_base) == known);
        found.map(|cursor| cursor.position)
    }

    fn remember(&self, cursor: Cursor) {
        let mut cursors = self.cursors.lock().expect("never held across a panic");
        if cursors.len() == CURSORS {
            cursors.pop_front();
        }
        cursors.push_back(cursor);
    }

    /// The segments that readers may see, each with its end.
    pub(crate) fn visible_segments(&self) -> Vec<(Arc<Segment>, Mark)> {
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
}

impl State {
    /// Notes that a sealed segment is read, and lets go of the indexes of one that was not for long: whoever reads a log
    /// of a terabyte from its start would come to hold gigabytes of them.
    fn keep_indexes_of(&mut self, base_offset: i64) {
        if self.indexed.back() == Some(&base_offset) {
            return;
        }
        self.indexed.retain(|&other| other != base_offset);
        self.indexed.push_back(base_offset);
        if self.indexed.len() > INDEXED_SEGMENTS {
            let oldest = self.indexed.pop_front();
            let found = self.segments.binary_search_by_key(&oldest, |segment| Some(segment.base_offset));
            // The active segment's are not in its files yet, and a truncation may have made this one active.
            if let Ok(i) = found
                && self.segments[i].base_offset < self.unflushed_base
            {
                self.segments[i].forget_indexes();
            }
        }
    }
}
