//! Opening a log: finding its segments and, after an unclean stop, its end.
//!
//! Below the recovery point everything was flushed, so it is trusted and not read. Past it nothing is: the batches are
//! scanned and the log ends at the first bad one. What is kept is written again in place and flushed before anybody
//! sees it, because after a failed fsync the kernel may call pages clean that never reached the disk. A log that ends
//! exactly at its recovery point has nothing to scan; only there is the clean marker believed, so that a marker whose
//! removal was lost does no harm.

mod segments;
mod snapshots;

use std::path::Path;
use std::sync::Arc;

use varve_records::{BatchHeader, HEADER_BYTES, MAGIC};

use crate::batch_reader::{Access, Step};
use crate::cut_file::free_cut_path;
use crate::data_dir::parent_of;
use crate::error::{LogError, Result};
use crate::leader_epochs::{LEADER_EPOCHS, LeaderEpochs};
use crate::producer_replay::replay_batch;
use crate::producer_state_manager::ProducerStateManager;
use crate::segment::{Indexes, Segment};
use crate::storage::{File, OpenMode, Storage};
use crate::txn_index::TransactionIndex;

const COPY_BYTES: usize = 1 << 20;
const MAGIC_AT: usize = 16;
/// How often, at most, the bytes of a cut tail are read in search of batches.
const SEARCH_FACTOR: u64 = 8;

/// What an unclean stop left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The log's end after the recovery.
    pub end_offset: i64,
    /// Bytes behind it that were not kept.
    pub cut_bytes: u64,
}

pub struct Opened {
    /// Never empty; the last one is active.
    pub segments: Vec<Arc<Segment>>,
    pub end_offset: i64,
    pub epochs: LeaderEpochs,
    pub producers: ProducerStateManager,
    /// The offsets of the producer snapshots that there are, ascending.
    pub snapshots: Vec<i64>,
    pub recovered: Option<Recovered>,
    /// Durable bytes that do not parse: the log opens read-only.
    pub corrupt: Option<LogError>,
}

impl Opened {
    fn new(segments: Vec<Arc<Segment>>, end_offset: i64) -> Self {
        Self {
            segments,
            end_offset,
            epochs: LeaderEpochs::default(),
            producers: ProducerStateManager::default(),
            snapshots: Vec::new(),
            recovered: None,
            corrupt: None,
        }
    }
}

pub struct Opening<'a> {
    pub storage: &'a Arc<dyn Storage>,
    pub dir: &'a Path,
    /// Whether the directory was there before, and was not made, durably, for this opening.
    pub existed: bool,
    /// Below it everything was flushed; `None` when that is not known.
    pub recovery_point: Option<i64>,
    /// What lies before it was deleted; 0 when nothing was.
    pub start_offset: i64,
    /// Whether the log was closed with everything flushed.
    pub clean: bool,
    /// Whether segments may have been replaced by compacted ones.
    pub compacts: bool,
    pub index_interval_bytes: u64,
}

/// A segment after its scan.
struct Scan {
    /// Where the good batches end.
    bytes: u64,
    next_offset: i64,
    indexes: Indexes,
    /// The leader epochs of its batches and where each starts.
    epochs: Vec<(i32, i64)>,
    aborted: TransactionIndex,
    /// The first bad batch at or past the recovery point.
    cut: bool,
    /// The first bad batch below it.
    corrupt: Option<LogError>,
    /// Where the batch that holds the recovery point starts.
    rewrite_from: u64,
}

impl Opening<'_> {
    pub fn run(&self) -> Result<Opened> {
        let segments = self.find_segments()?;
        let mut opened = self.open_segments(segments)?;
        if opened.corrupt.is_none() && opened.end_offset < self.start_offset {
            opened = self.start_over(opened)?;
        }
        if opened.corrupt.is_none() {
            opened.snapshots = self.find_snapshots(&opened)?;
        }
        let active = opened.segments.last().expect("a log has a segment");
        active.activate()?;
        if active.with_aborted(Access::Blocking, |_| ())?.is_none() {
            active.restore_aborted(self.producers_of(&opened.segments).aborted_in(active)?);
        }
        Ok(opened)
    }

    fn open_segments(&self, segments: Vec<Arc<Segment>>) -> Result<Opened> {
        let Some(last) = segments.last() else { return self.create_first() };
        let mut epochs = LeaderEpochs::read(self.storage.as_ref(), self.dir)?.unwrap_or_default();
        if let Some(recovery_point) = self.recovery_point
            && self.ends_as_closed(last)?
        {
            epochs.truncate_to(recovery_point);
            let mut producers = ProducerStateManager::default();
            let found = self.producers_of(&segments).bring_to(recovery_point, &mut producers);
            let corrupt = corruption(found)?;
            return Ok(Opened { epochs, producers, corrupt, ..Opened::new(segments, recovery_point) });
        }
        self.recover(segments, epochs)
    }

    /// The end was lost and everything left had been deleted before: the log starts where it would have, empty.
    fn start_over(&self, opened: Opened) -> Result<Opened> {
        let epochs = self.forget_epochs()?;
        let segments = vec![Arc::new(Segment::create(self.storage, self.dir, self.start_offset)?)];
        // Were this name lost and the others removed, nothing would tell that the log is one.
        self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))?;
        opened.segments.iter().try_for_each(|segment| segment.remove_files())?;
        let mut producers = ProducerStateManager::default();
        self.producers_of(&segments).bring_to(self.start_offset, &mut producers)?;
        let recovered = opened.recovered;
        Ok(Opened { epochs, producers, recovered, ..Opened::new(segments, self.start_offset) })
    }

    /// For a log without a record, before its first segment is there: what the checkpoint says is of records that are gone.
    fn forget_epochs(&self) -> Result<LeaderEpochs> {
        let epochs = LeaderEpochs::default();
        let checkpoint = self.dir.join(LEADER_EPOCHS);
        if self.storage.exists(&checkpoint).map_err(LogError::io("look for", &checkpoint))? {
            epochs.write(self.storage.as_ref(), self.dir)?;
            self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))?;
        }
        Ok(epochs)
    }

    fn create_first(&self) -> Result<Opened> {
        if let Some(lost) = self.recovery_point
            && lost > self.start_offset
            && self.existed
        {
            return Err(LogError::Corrupt {
                file: self.dir.join(format!("{:020}.log", 0)),
                position: 0,
                offset: 0,
                detail: format!("offsets up to {lost} were durable and the directory holds no segment"),
            });
        }
        if self.existed {
            // Whoever created it may have ended before its name was durable.
            let parent = parent_of(self.dir);
            self.storage.sync_dir(parent).map_err(LogError::io("fsync", parent))?;
        }
        let end_offset = self.start_offset;
        let epochs = self.forget_epochs()?;
        let segments = vec![Arc::new(Segment::create(self.storage, self.dir, end_offset)?)];
        // Were this name lost and a later segment's kept, the log would seem to start there.
        self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))?;
        Ok(Opened { epochs, ..Opened::new(segments, end_offset) })
    }

    fn recover(&self, mut segments: Vec<Arc<Segment>>, mut epochs: LeaderEpochs) -> Result<Opened> {
        let recovery_point = self.recovery_point.unwrap_or(segments[0].base_offset);
        let first =
            segments.partition_point(|segment| segment.base_offset <= recovery_point).saturating_sub(1);
        if let Some(before) = first.checked_sub(1) {
            segments[before] = Arc::new(self.trim_sealed(&segments[before])?);
        }
        let mut next_offset = segments[first].base_offset;
        let recorded = epochs.clone();
        epochs.truncate_to(next_offset);
        let mut producers = ProducerStateManager::default();
        let found = self.producers_of(&segments[..=first]).bring_to(next_offset, &mut producers);
        let mut corrupt = corruption(found)?;
        let mut snapshots: Vec<(i64, ProducerStateManager)> = Vec::new();
        let mut scans: Vec<Scan> = Vec::new();
        let mut kept = segments.len();
        for (i, segment) in segments.iter().enumerate().skip(first) {
            let follows = segment.base_offset == next_offset;
            let may_follow = self.is_foreign() && segment.base_offset > next_offset;
            if !follows && !self.is_foreign() && next_offset >= recovery_point {
                kept = i;
                break;
            }
            if !follows && !may_follow {
                corrupt.get_or_insert(LogError::Corrupt {
                    file: segment.log_path(),
                    position: 0,
                    offset: next_offset,
                    detail: format!("the durable offsets from {next_offset} up to here are missing"),
                });
            }
            snapshots.extend((segment.base_offset > 0).then(|| (segment.base_offset, producers.clone())));
            let mut scan = self.scan(segment, recovery_point, &mut producers)?;
            if scan.cut && self.is_foreign() {
                self.spare(segment, &mut scan, i + 1 == segments.len())?;
            }
            next_offset = scan.next_offset;
            for &(epoch, first_batch) in &scan.epochs {
                // Its first records may have been compacted away; the checkpoint remembers where they were.
                let start = recorded
                    .start_of(epoch)
                    .filter(|start| (segment.base_offset..first_batch).contains(start));
                epochs.assign(epoch, start.unwrap_or(first_batch));
            }
            corrupt = corrupt.or_else(|| scan.corrupt.clone());
            let ends_here = scan.cut;
            scans.push(scan);
            if ends_here {
                kept = i + 1;
                break;
            }
        }
        if corrupt.is_none() && next_offset < recovery_point {
            let last = &segments[kept - 1];
            corrupt = Some(LogError::Corrupt {
                file: last.log_path(),
                position: scans.last().map_or(0, |scan| scan.bytes),
                offset: next_offset,
                detail: format!("offsets up to {recovery_point} were durable and the log ends here"),
            });
        }
        if corrupt.is_some() {
            // Nothing is cut: the files stay as they were found, for whoever repairs them.
            segments.truncate(kept);
            for (segment, scan) in segments[first..].iter().zip(scans) {
                self.rewrite(segment, &scan, segment.bytes())?;
                segment.restore(scan.bytes, scan.indexes, scan.aborted);
            }
            self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))?;
            return Ok(Opened { epochs, producers, corrupt, ..Opened::new(segments, next_offset) });
        }
        let cut_bytes = self.cut(&segments[first..], kept - first, &scans)?;
        segments.truncate(kept);
        for (segment, scan) in segments[first..].iter().zip(scans) {
            self.rewrite(segment, &scan, scan.bytes)?;
            segment.restore(scan.bytes, scan.indexes, scan.aborted);
            // Without its file a segment counts as one without aborts: that name is made anew as well.
            let path = segment.txn_index_path();
            if self.storage.exists(&path).map_err(LogError::io("look for", &path))? {
                self.remove(&path)?;
            }
            segment.write_indexes()?;
            segment.write_aborted()?;
        }
        self.renew_snapshots(snapshots)?;
        // Before the recovery point passes what was scanned: the next recovery will not see these batches.
        epochs.write(self.storage.as_ref(), self.dir)?;
        self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))?;
        let recovered = Some(Recovered { end_offset: next_offset, cut_bytes });
        Ok(Opened { epochs, producers, recovered, ..Opened::new(segments, next_offset) })
    }

    /// Every log of ours has a recovery point before its first record. One without was written by somebody else, or came
    /// without its data directory: how far it was flushed, and whether a compaction left gaps, nobody knows here.
    fn is_foreign(&self) -> bool {
        self.recovery_point.is_none()
    }

    /// Of a foreign log only a torn tail is cut. Anything else that does not parse may be worth something to whoever
    /// wrote it.
    fn spare(&self, segment: &Segment, scan: &mut Scan, is_last: bool) -> Result<()> {
        let path = segment.log_path();
        let mut head = [0; MAGIC_AT + 1];
        let file = segment.file(Access::Blocking)?;
        let read = file.read_at(&mut head, scan.bytes).map_err(LogError::io("read", &path))?;
        let has_bytes = head[..MAGIC_AT].iter().any(|byte| *byte != 0);
        let is_old = read == head.len() && has_bytes && head[MAGIC_AT] < MAGIC;
        if is_last && !is_old {
            return Ok(());
        }
        scan.cut = false;
        scan.corrupt = Some(LogError::Corrupt {
            file: path,
            position: scan.bytes,
            offset: scan.next_offset,
            detail: match is_old {
                true => format!("the message format is magic {}; only magic 2 is read", head[MAGIC_AT]),
                false => "there is no whole record batch".into(),
            },
        });
        Ok(())
    }

    fn scan(
        &self,
        segment: &Segment,
        recovery_point: i64,
        producers: &mut ProducerStateManager,
    ) -> Result<Scan> {
        let end = segment.bytes();
        let mut scan = Scan {
            bytes: 0,
            next_offset: segment.base_offset,
            indexes: Indexes::new(segment.base_offset),
            epochs: Vec::new(),
            aborted: TransactionIndex::default(),
            cut: false,
            corrupt: None,
            rewrite_from: end,
        };
        let mut reader = segment.reader(Access::Blocking, 0, end)?;
        loop {
            match reader.next_checked()? {
                Step::Batch(header, position) => {
                    if header.last_offset() >= recovery_point {
                        scan.rewrite_from = scan.rewrite_from.min(position);
                    }
                    scan.indexes.note(&header, position, self.index_interval_bytes);
                    match replay_batch(producers, segment, &reader, &header, position) {
                        Ok(aborted) => aborted.into_iter().for_each(|aborted| scan.aborted.push(aborted)),
                        Err(error @ LogError::Corrupt { .. }) => drop(scan.corrupt.get_or_insert(error)),
                        Err(error) => return Err(error),
                    }
                    let epoch = header.partition_leader_epoch;
                    if scan.epochs.last().is_none_or(|&(last, _)| last != epoch) {
                        scan.epochs.push((epoch, header.base_offset));
                    }
                    scan.next_offset = header.next_offset();
                    scan.bytes = reader.position();
                }
                Step::End => return Ok(scan),
                Step::Bad { .. } if scan.next_offset >= recovery_point => {
                    scan.cut = true;
                    return Ok(scan);
                }
                Step::Bad { position, detail, .. } => {
                    let offset = scan.next_offset;
                    scan.corrupt.get_or_insert(LogError::Corrupt {
                        file: segment.log_path(),
                        position,
                        offset,
                        detail,
                    });
                    if !reader.skip_bad()? {
                        return Ok(scan);
                    }
                }
            }
        }
    }

    /// Removes the segments behind the kept part. Whatever still parses, there or in the last kept one's tail, is kept
    /// aside as `<base>.cut`. Returns the bytes cut off. A crash on the way leaves segments behind a gap, which are cut
    /// the next time.
    fn cut(&self, segments: &[Arc<Segment>], kept: usize, scans: &[Scan]) -> Result<u64> {
        let mut cut_bytes = 0;
        for segment in &segments[kept..] {
            cut_bytes += segment.bytes();
            if self.any_batch_parses(segment, 0, segment.base_offset)? {
                self.copy_aside(segment, 0, segment.bytes(), segment.base_offset)?;
            }
            // Emptied first: should the name come back, because an fsync of the directory fails, then without data.
            segment.empty()?;
            segment.remove_files()?;
        }
        let (Some(segment), Some(scan)) = (segments[..kept].last(), scans[..kept].last()) else {
            return Ok(cut_bytes);
        };
        let (from, end) = (scan.bytes, segment.bytes());
        // What was prepared for appends and never written is no loss.
        if from == end || self.is_zero(segment, from, end)? {
            return Ok(cut_bytes);
        }
        if self.is_foreign() || self.any_batch_parses(segment, from, scan.next_offset)? {
            self.copy_aside(segment, from, end, scan.next_offset)?;
        }
        Ok(cut_bytes + end - from)
    }

    /// The segment in front of the scanned ones, without what was prepared behind its batches: the roll took that away,
    /// but may not have lived to make it durable. Nor to write its indexes, which may be as old as the last clean stop, if
    /// the recovery point was where the roll came.
    fn trim_sealed(&self, segment: &Segment) -> Result<Segment> {
        let from = segment.with_indexes(Access::Blocking, |indexes| indexes.offsets.last_position())?;
        let mut reader = segment.reader(Access::Blocking, from, segment.bytes())?;
        while let Step::Batch(..) = reader.next_header()? {}
        let (end, bytes) = (reader.position(), segment.bytes());
        let end = if self.is_zero(segment, end, bytes)? { end } else { bytes };
        segment.set_len(end)?;
        segment.sync()?;
        let trimmed = Segment::at(self.storage, self.dir, segment.base_offset, end);
        trimmed.renew_indexes(self.index_interval_bytes)?;
        Ok(trimmed)
    }

    fn is_zero(&self, segment: &Segment, from: u64, end: u64) -> Result<bool> {
        let mut zero = true;
        let file = segment.file(Access::Blocking)?;
        copy_range(file.as_ref(), &segment.log_path(), from, end, |bytes, _| {
            zero &= bytes.iter().all(|byte| *byte == 0);
            Ok(())
        })?;
        Ok(zero)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.storage.remove(path).map_err(LogError::io("remove", path))
    }

    /// Whether a whole batch with a matching checksum starts anywhere at or behind `from`. Batches that stood there
    /// have offsets of the segment from `next_offset` on, which hardly any other bytes seem to have; if many do all
    /// the same, so that looking would take too long, the answer is yes: to keep too much aside does no harm.
    fn any_batch_parses(&self, segment: &Segment, from: u64, next_offset: i64) -> Result<bool> {
        let (path, end) = (segment.log_path(), segment.bytes());
        let file = segment.file(Access::Blocking)?;
        let mut chunk = vec![0; end.saturating_sub(from).min((COPY_BYTES + HEADER_BYTES) as u64) as usize];
        let mut budget = SEARCH_FACTOR * (end - from);
        let mut at = from;
        while at + (HEADER_BYTES as u64) <= end {
            let read = file.read_at(&mut chunk, at).map_err(LogError::io("read", &path))?;
            let starts = (read + 1).saturating_sub(HEADER_BYTES).min(COPY_BYTES);
            for start in (0..starts).filter(|start| chunk[start + MAGIC_AT] == MAGIC) {
                let header = BatchHeader::parse(&chunk[start..read]).expect("a whole header was read");
                let position = at + start as u64;
                if header.base_offset < next_offset
                    || header.records_count == 0
                    || !header.is_plausible()
                    || header.total_bytes() > end - position
                {
                    continue;
                }
                let mut reader = segment.reader(Access::Blocking, position, end)?;
                if header.total_bytes() > budget || matches!(reader.next_checked()?, Step::Batch(..)) {
                    return Ok(true);
                }
                budget -= header.total_bytes();
            }
            if starts == 0 {
                break;
            }
            at += starts as u64;
        }
        Ok(false)
    }

    fn copy_aside(&self, segment: &Segment, from: u64, end: u64, offset: i64) -> Result<()> {
        let aside = &free_cut_path(self.storage.as_ref(), self.dir, offset)?;
        let source = segment.file(Access::Blocking)?;
        let target = self.storage.open(aside, OpenMode::Create).map_err(LogError::io("create", aside))?;
        copy_range(source.as_ref(), &segment.log_path(), from, end, |bytes, position| {
            target.write_at(&[bytes], position - from).map_err(LogError::io("write", aside))
        })?;
        target.sync_data().map_err(LogError::io("fsync", aside))?;
        self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))
    }

    /// Makes durable what is kept of a segment, whatever failed before: bytes past the recovery point, the length and
    /// the name are changed anew, because after a failed fsync no later one is bound to bring the old changes to disk.
    fn rewrite(&self, segment: &Segment, scan: &Scan, length: u64) -> Result<()> {
        let path = segment.log_path();
        segment.set_len(length)?;
        let file = segment.file(Access::Blocking)?;
        copy_range(file.as_ref(), &path, scan.rewrite_from, scan.bytes, |bytes, position| {
            segment.write_at(&[bytes], position)
        })?;
        segment.sync()?;
        self.renew_name(&path)
    }

    fn renew_name(&self, path: &Path) -> Result<()> {
        let aside = path.with_extension("log.renew");
        self.storage.rename(path, &aside).map_err(LogError::io("rename", path))?;
        self.storage.rename(&aside, path).map_err(LogError::io("rename", &aside))
    }
}

/// Damage that was found, which makes the log read-only instead of keeping it from being opened.
fn corruption(found: Result<()>) -> Result<Option<LogError>> {
    match found {
        Ok(()) => Ok(None),
        Err(error @ LogError::Corrupt { .. }) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

fn copy_range(
    file: &dyn File,
    path: &Path,
    from: u64,
    end: u64,
    mut write: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; end.saturating_sub(from).min(COPY_BYTES as u64) as usize];
    let mut position = from;
    while position < end {
        let wanted = (end - position).min(COPY_BYTES as u64) as usize;
        let read = file.read_at(&mut buffer[..wanted], position).map_err(LogError::io("read", path))?;
        if read == 0 {
            break;
        }
        write(&buffer[..read], position)?;
        position += read as u64;
    }
    Ok(())
}
