//! One segment: a `.log` file of batches, its two sparse indexes and the index of its aborted transactions, named by the
//! segment's first offset.

mod aborted;
mod index_files;
mod shortening;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use varve_records::BatchHeader;

use crate::batch_reader::{Access, BatchReader, Step};
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::offset_index::OffsetIndex;
use crate::open_files::{LogFile, OpenFiles};
use crate::storage::{File, OpenMode, Storage};
use crate::sync::{Mutex, MutexGuard};
use crate::time_index::TimeIndex;
use crate::txn_index::TransactionIndex;

pub use index_files::DEFAULT_INTERVAL_BYTES;

pub struct Segment {
    pub base_offset: i64,
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    file: LogFile,
    content: Mutex<Content>,
    cut: Arc<AtomicU64>,
    /// Whether the file may have more behind the batches.
    allocated: AtomicBool,
}

const NO_TIMESTAMP: i64 = -1;

/// The offset in a file name of Kafka's form, twenty digits and an extension.
pub fn offset_in(name: &str, extension: &str) -> Option<i64> {
    let digits = name.strip_suffix(extension)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// What is known of a segment's bytes. The indexes of a sealed segment are read when first asked for.
struct Content {
    bytes: u64,
    indexes: Option<Indexes>,
    /// Read when first asked for, like the others, and of a segment that appends go to known from the start.
    aborted: Option<TransactionIndex>,
    /// Known of a segment that appends go to.
    first_timestamp: Option<i64>,
}

/// Both indexes and what the next append needs to go on with them.
pub struct Indexes {
    pub offsets: OffsetIndex,
    pub times: TimeIndex,
    bytes_since_entry: u64,
    /// The largest timestamp so far and the last offset of its batch.
    max_timestamp: Option<(i64, i64)>,
}

impl Indexes {
    pub fn new(base_offset: i64) -> Self {
        Self {
            offsets: OffsetIndex::new(base_offset),
            times: TimeIndex::new(base_offset),
            bytes_since_entry: 0,
            max_timestamp: None,
        }
    }

    /// Notes a batch at `position`, and adds an entry when `interval_bytes` have passed since the last one, by the
    /// rule of Kafka's `LogSegment.append`.
    pub fn note(&mut self, header: &BatchHeader, position: u64, interval_bytes: u64) {
        let last_offset = header.last_offset();
        self.note_max(header);
        if self.bytes_since_entry > interval_bytes {
            self.offsets.push(last_offset, position);
            self.note_time();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.total_bytes();
    }

    /// What the two index files hold. The time index gets the segment's largest timestamp as its last entry, as Kafka's
    /// does when a segment closes.
    pub fn write_out(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.note_time();
        (self.offsets.to_bytes(), self.times.to_bytes())
    }

    fn note_max(&mut self, header: &BatchHeader) {
        if self.max_timestamp.is_none_or(|(max, _)| header.max_timestamp > max) {
            self.max_timestamp = Some((header.max_timestamp, header.last_offset()));
        }
    }

    /// The indexes of the batches before a cut, as far as entries tell.
    fn up_to(&self, position: u64, end_offset: i64) -> Self {
        let (offsets, times) = (self.offsets.up_to(position), self.times.up_to(end_offset));
        let bytes_since_entry = position - offsets.last_position();
        let max_timestamp = times.last();
        Self { offsets, times, bytes_since_entry, max_timestamp }
    }

    fn note_time(&mut self) {
        if let Some((timestamp, offset)) = self.max_timestamp
            && timestamp >= 0
        {
            self.times.push(timestamp, offset);
        }
    }

    /// Of the larger one.
    pub fn bytes(&self) -> u64 {
        self.offsets.bytes().max(self.times.bytes())
    }

    /// The largest timestamp and the last offset of its batch.
    pub fn max_timestamp(&self) -> Option<(i64, i64)> {
        self.max_timestamp.or_else(|| self.times.last())
    }
}

impl Segment {
    /// Creates the three files of an empty segment. Their names are durable after the directory's fsync.
    pub fn create(storage: &Arc<dyn Storage>, dir: &Path, base_offset: i64) -> Result<Self> {
        let segment = Self::at(storage, dir, base_offset, 0);
        for path in [segment.index_path(), segment.time_index_path()] {
            storage.open(&path, OpenMode::Create).map_err(LogError::io("create", &path))?;
        }
        segment.file.create()?;
        segment.restore(0, Indexes::new(base_offset), TransactionIndex::default());
        Ok(segment)
    }

    /// A segment whose files are there; nothing is opened yet.
    pub fn at(storage: &Arc<dyn Storage>, dir: &Path, base_offset: i64, bytes: u64) -> Self {
        let path = dir.join(format!("{base_offset:020}.log"));
        Self {
            base_offset,
            dir: dir.to_path_buf(),
            storage: storage.clone(),
            file: LogFile::new(storage, &OpenFiles::of_process(), path),
            content: Mutex::new(Content { bytes, indexes: None, aborted: None, first_timestamp: None }),
            cut: Arc::new(AtomicU64::new(u64::MAX)),
            allocated: AtomicBool::new(false),
        }
    }

    /// A segment that was written under other names, which it is about to lose: `file` is to be kept until then.
    pub fn written(storage: &Arc<dyn Storage>, dir: &Path, base_offset: i64, file: &Arc<dyn File>) -> Self {
        let mut segment = Self::at(storage, dir, base_offset, 0);
        segment.file = LogFile::opened(storage, &OpenFiles::of_process(), segment.log_path(), file);
        segment
    }

    /// The same segment without its open file and its indexes, which slices that have them keep.
    pub fn unopened(&self) -> Self {
        Self::at(&self.storage, &self.dir, self.base_offset, self.bytes())
    }

    pub fn log_path(&self) -> PathBuf {
        self.file.path().to_path_buf()
    }

    pub fn index_path(&self) -> PathBuf {
        self.path("index")
    }

    pub fn time_index_path(&self) -> PathBuf {
        self.path("timeindex")
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("{:020}.{extension}", self.base_offset))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("a segment's lock is never held across a panic")
    }

    /// Bytes of whole batches in the `.log` file.
    pub fn bytes(&self) -> u64 {
        self.content().bytes
    }

    /// Replaces what is known of the segment, after a recovery has read it.
    pub fn restore(&self, bytes: u64, indexes: Indexes, aborted: TransactionIndex) {
        let mut content = self.content();
        (content.bytes, content.indexes, content.aborted) = (bytes, Some(indexes), Some(aborted));
    }

    /// Reads what appends need to know of a segment that has batches.
    pub fn activate(&self) -> Result<()> {
        let mut reader = self.reader(Access::Blocking, 0, self.bytes())?;
        if let Step::Batch(header, _) = reader.next_header()? {
            self.content().first_timestamp = Some(header.max_timestamp);
        }
        Ok(())
    }

    /// Publishes batches that have been written at the end of the segment.
    pub fn publish<'a>(&self, headers: impl Iterator<Item = &'a BatchHeader>, interval_bytes: u64) {
        let mut content = self.content();
        let mut position = content.bytes;
        for header in headers {
            if position == 0 {
                content.first_timestamp = Some(header.max_timestamp);
            }
            if let Some(indexes) = &mut content.indexes {
                indexes.note(header, position, interval_bytes);
            }
            position += header.total_bytes();
        }
        content.bytes = position;
    }

    /// The `.log` file, opened when first asked for.
    pub fn file(&self, access: Access) -> Result<Arc<dyn File>> {
        self.file.get(access)
    }

    /// Writes to the `.log` file; [`Segment::sync`] makes it durable.
    pub fn write_at(&self, buffers: &[&[u8]], position: u64) -> Result<()> {
        self.file.change("write", |file| file.write_at(buffers, position))
    }

    /// Prepares the file for what will be written from one position up to another; says whether that could be done.
    pub fn allocate(&self, from: u64, up_to: u64, zeros: bool) -> bool {
        self.allocated.store(true, Ordering::Relaxed);
        let prepared = self.file.change("allocate", |file| match zeros {
            true => write_zeros(file, from, up_to),
            false => file.allocate(from, up_to - from),
        });
        prepared.is_ok()
    }

    /// Gives back what was prepared behind the batches; [`Segment::sync`] makes it durable.
    pub fn trim(&self) -> Result<()> {
        match self.allocated.swap(false, Ordering::Relaxed) {
            true => self.set_len(self.bytes()),
            false => Ok(()),
        }
    }

    /// Gives the `.log` file a length; [`Segment::sync`] makes it durable.
    pub fn set_len(&self, bytes: u64) -> Result<()> {
        self.file.change("truncate", |file| file.set_len(bytes))
    }

    /// Runs `ask` on the indexes, which are read from their files, or rebuilt from the batches, when first needed.
    pub fn with_indexes<T>(&self, access: Access, ask: impl FnOnce(&Indexes) -> T) -> Result<T> {
        let mut content = self.content();
        if content.indexes.is_none() {
            if access == Access::Cached {
                return Err(LogError::WouldBlock);
            }
            let bytes = content.bytes;
            drop(content);
            let loaded = self.load_indexes(bytes)?;
            content = self.content();
            content.indexes.get_or_insert(loaded);
        }
        Ok(ask(content.indexes.as_ref().expect("loaded above")))
    }

    /// Walks the batches from `position` up to `end`.
    pub fn reader(&self, access: Access, position: u64, end: u64) -> Result<BatchReader> {
        let file = self.file(access)?;
        Ok(BatchReader::new(file, self.log_path(), access, self.base_offset, position, end))
    }

    /// Where a truncation cut this segment's file, for slices that were taken of it before; `u64::MAX` when none did.
    pub fn cut(&self) -> &Arc<AtomicU64> {
        &self.cut
    }

    /// Readers of the log see nothing behind `position` from now on, though it is still in the file.
    pub fn hide_behind(&self, position: u64) {
        let mut content = self.content();
        content.bytes = content.bytes.min(position);
    }

    /// Slices that reach beyond `position` read nothing from now on.
    pub fn cut_slices(&self, position: u64) {
        self.cut.fetch_min(position, Ordering::SeqCst);
    }

    /// The largest timestamp of its batches (ms); `None` when they carry none.
    pub fn largest_timestamp(&self) -> Result<Option<i64>> {
        let max = self.with_indexes(Access::Blocking, |indexes| indexes.max_timestamp())?;
        Ok(max.map(|(timestamp, _)| timestamp).filter(|&timestamp| timestamp >= 0))
    }

    /// The largest timestamp of its first batch, from which a roll by time counts; `None` when it has none.
    pub fn first_timestamp(&self) -> Option<i64> {
        self.content().first_timestamp
    }

    /// Whether an index has grown to `bytes`, so that the segment is full whatever its size.
    pub fn indexes_reach(&self, bytes: u64) -> bool {
        self.content().indexes.as_ref().is_some_and(|indexes| indexes.bytes() >= bytes)
    }

    /// Lets go of indexes that are in their files: a log of a terabyte would keep gigabytes of them.
    pub fn forget_indexes(&self) {
        let mut content = self.content();
        (content.indexes, content.aborted) = (None, None);
    }

    /// Makes the `.log` file's bytes durable.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    /// The first batch before `end` that reaches `offset`, and where it starts: the one that holds the offset, or the
    /// one behind it where there is a gap.
    pub fn locate(&self, offset: i64, end: u64, access: Access) -> Result<Option<(BatchHeader, u64)>> {
        let from = self.with_indexes(access, |indexes| indexes.offsets.position_for(offset))?;
        match self.walk_to(offset, from, end, access)? {
            Walk::Found(batch) => Ok(batch),
            Walk::Misled => {
                self.replace_indexes(access)?;
                match self.walk_to(offset, 0, end, access)? {
                    Walk::Found(batch) => Ok(batch),
                    Walk::Misled => unreachable!("no index led to the start of the file"),
                }
            }
        }
    }

    /// Whether the first batch that reaches `offset` is there and matches its checksum: what a header alone says may be
    /// damage.
    pub fn reaches(&self, offset: i64) -> Result<bool> {
        let (access, end) = (Access::Blocking, self.bytes());
        match self.locate(offset, end, access) {
            Ok(Some((_, position))) => {
                Ok(matches!(self.reader(access, position, end)?.next_checked()?, Step::Batch(..)))
            }
            Ok(None) | Err(LogError::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn walk_to(&self, offset: i64, from: u64, end: u64, access: Access) -> Result<Walk> {
        let mut reader = self.reader(access, from.min(end), end)?;
        loop {
            match reader.next_header()? {
                Step::Batch(header, position) => {
                    if position == from && from > 0 && header.base_offset > offset {
                        return Ok(Walk::Misled);
                    }
                    if header.last_offset() >= offset {
                        return Ok(Walk::Found(Some((header, position))));
                    }
                }
                Step::End => return Ok(Walk::Found(None)),
                Step::Bad { position, .. } if position == from && from > 0 => return Ok(Walk::Misled),
                Step::Bad { position, offset, detail } => {
                    return Err(LogError::Corrupt { file: self.log_path(), position, offset, detail });
                }
            }
        }
    }

    /// The offset behind the last batch, seen from the index and the headers behind its last entry; `None` when those
    /// are not sound.
    pub fn end_offset(&self) -> Result<Option<i64>> {
        let from = self.with_indexes(Access::Blocking, |indexes| indexes.offsets.last_position())?;
        let mut reader = self.reader(Access::Blocking, from, self.bytes())?;
        let mut end_offset = self.base_offset;
        loop {
            match reader.next_header()? {
                Step::Batch(header, _) => end_offset = header.next_offset(),
                Step::End => return Ok(Some(end_offset)),
                Step::Bad { .. } => return Ok(None),
            }
        }
    }

    /// The largest timestamp in the batches that reach `start` and lie before `end`.
    pub fn max_timestamp(&self, start: i64, end: Mark) -> Result<Option<i64>> {
        if start > self.base_offset {
            let Some((_, from)) = self.locate(start, end.position, Access::Blocking)? else {
                return Ok(None);
            };
            return self.max_between(None, from, end);
        }
        let whole = end.position >= self.bytes();
        let (max, known, from) = self.with_indexes(Access::Blocking, |indexes| {
            let max = indexes.max_timestamp().map(|(timestamp, _)| timestamp);
            let known = indexes.times.last_before(end.offset);
            (max, known, indexes.offsets.batch_start_before(end.position.saturating_sub(1)))
        })?;
        if whole {
            return Ok(max);
        }
        // The index goes on behind `end`. Up to its last entry before that it knows the largest; the rest is walked.
        self.max_between(known, from, end)
    }

    fn max_between(&self, known: Option<i64>, from: u64, end: Mark) -> Result<Option<i64>> {
        let mut max = known;
        let mut reader = self.reader(Access::Blocking, from, end.position)?;
        loop {
            match reader.next_header()? {
                Step::Batch(header, _) => max = max.max(Some(header.max_timestamp)),
                Step::End => return Ok(max),
                Step::Bad { position, offset, detail } => {
                    return Err(LogError::Corrupt { file: self.log_path(), position, offset, detail });
                }
            }
        }
    }
}

fn write_zeros(file: &dyn File, from: u64, up_to: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut at = from;
    while at < up_to {
        let bytes = (up_to - at).min(ZEROS.len() as u64);
        file.write_at(&[&ZEROS[..bytes as usize]], at)?;
        at += bytes;
    }
    Ok(())
}

/// How a walk from where an index pointed went.
enum Walk {
    Found(Option<(BatchHeader, u64)>),
    /// No batch starts there, or one that lies behind what was looked for.
    Misled,
}
