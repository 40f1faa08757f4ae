//! Looking a log over without changing it: every batch against its checksum, every index entry against the batches, and
//! what opening the log would make of what is wrong.

mod damage;
mod index_check;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_records::{BatchHeader, CODEC_MASK};

use crate::batch_reader::{Access, BatchReader, Step};
use crate::checkpoint::{parse_offsets, read_file};
use crate::cleaned_segment::recover_compaction;
use crate::data_dir::{CLEAN_MARKER, RECOVERY_POINTS, START_OFFSETS};
use crate::error::{LogError, Result};
use crate::leader_epochs::{LEADER_EPOCHS, LeaderEpochs};
use crate::producer_snapshot;
use crate::read_only_storage::ReadOnlyStorage;
use crate::segment::offset_in;
use crate::storage::{File, OpenMode, Storage};
use index_check::IndexCheck;

/// How far an inspection is, in bytes of segments; for whoever watches it from another thread.
#[derive(Default)]
pub struct Progress {
    pub done: AtomicU64,
    pub total: AtomicU64,
}

/// What was found of a log.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Below it everything was flushed; `None` when that is not known.
    pub recovery_point: Option<i64>,
    pub start_offset: i64,
    pub end_offset: i64,
    /// Whether its data directory has the clean marker.
    pub clean: bool,
    pub segments: Vec<InspectedSegment>,
    /// The epochs of the batches, and where the first batch of each starts.
    pub leader_epochs: Vec<(i32, i64)>,
    /// Offsets of the producer snapshots and how many producers each has; `None` for one that cannot be read.
    pub snapshots: Vec<(i64, Option<usize>)>,
    /// What recoveries and repairs kept aside: name and bytes.
    pub cut_files: Vec<(String, u64)>,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Default)]
pub struct InspectedSegment {
    pub base_offset: i64,
    pub end_offset: i64,
    pub bytes: u64,
    pub batches: u64,
    pub records: u64,
    pub control_batches: u64,
    pub transactional_batches: u64,
    /// Batches by the number of their codec: none, gzip, snappy, lz4, zstd, and any other.
    pub codecs: [u64; 6],
    pub first_timestamp: Option<i64>,
    pub max_timestamp: Option<i64>,
    /// `None` for an index that is missing or cannot be read.
    pub index_entries: Option<u64>,
    pub time_index_entries: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Bytes that are no batch, or do not agree with its checksum, where batches should be.
    DamagedBatches,
    /// Bytes behind the last whole batch, which opening the log takes away.
    TornTail,
    /// Offsets that no segment has.
    MissingOffsets,
    /// Batches of a format before magic 2.
    OldFormat,
    WrongIndex,
    WrongEpochs,
    WrongSnapshot,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: FindingKind,
    /// Whether something is lost or wrong, and not only about to be put right by opening the log.
    pub is_problem: bool,
    /// Whether a repair does something about it.
    pub is_repairable: bool,
    /// The base offset of the segment it is in.
    pub segment: i64,
    pub file: PathBuf,
    pub position: u64,
    pub bytes: u64,
    /// The offsets that it concerns, up to but not including the second.
    pub offsets: (i64, i64),
    pub detail: String,
}

struct Walk<'a> {
    storage: &'a Arc<dyn Storage>,
    dir: &'a Path,
    recovery_point: Option<i64>,
    clean: bool,
    progress: &'a Progress,
    next_offset: i64,
    /// Of the segment that is walked.
    segment_bytes: u64,
    /// Whether offsets are missing within segments, as compaction leaves them.
    has_gaps: bool,
    epochs: LeaderEpochs,
    segments: Vec<InspectedSegment>,
    findings: Vec<Finding>,
}

/// Inspects the log `name` of the data directory at `path`; the empty name is the directory itself.
pub fn inspect(
    storage: &Arc<dyn Storage>,
    path: &Path,
    name: &str,
    progress: &Progress,
) -> Result<Inspection> {
    let dir = if name.is_empty() { path.to_path_buf() } else { path.join(name) };
    // A compaction that was interrupted is finished in memory: its segments count.
    let storage: &Arc<dyn Storage> = &(Arc::new(ReadOnlyStorage::new(storage.clone())) as _);
    let list = || storage.list(&dir).map_err(LogError::io("read the log", &dir));
    let offset = |file| -> Result<Option<i64>> {
        let offsets = read_file(&**storage, path, file)?.and_then(|text| parse_offsets(&text));
        Ok(offsets.and_then(|offsets| offsets.get(name).copied()))
    };
    let (recovery_point, start) = (offset(RECOVERY_POINTS)?, offset(START_OFFSETS)?);
    recover_compaction(storage, &dir, &list()?)?;
    let mut names = list()?;
    names.sort_unstable();
    let bases: Vec<i64> = names.iter().filter_map(|name| offset_in(name, ".log")).collect();
    let Some(&first) = bases.first() else {
        let problem = "it has no segment, such as 00000000000000000000.log";
        return Err(LogError::io("read the log", &dir)(io::Error::new(io::ErrorKind::NotFound, problem)));
    };
    let marker = path.join(CLEAN_MARKER);
    let clean = storage.exists(&marker).map_err(LogError::io("look for", &marker))?;
    let mut walk = Walk {
        storage,
        dir: &dir,
        recovery_point,
        clean,
        progress,
        next_offset: first,
        segment_bytes: 0,
        has_gaps: false,
        epochs: LeaderEpochs::default(),
        segments: Vec::new(),
        findings: Vec::new(),
    };
    walk.segments(&bases)?;
    progress.done.store(progress.total.load(Ordering::Relaxed), Ordering::Relaxed);
    walk.check_epochs()?;
    let snapshots = walk.check_snapshots(&names)?;
    let cut_files = names.iter().filter(|name| name.ends_with(".cut"));
    let cut_files = cut_files.map(|name| {
        let path = dir.join(name);
        let file = storage.open(&path, OpenMode::Read).map_err(LogError::io("open", &path))?;
        Ok((name.clone(), file.len().map_err(LogError::io("read", &path))?))
    });
    Ok(Inspection {
        recovery_point,
        start_offset: start.unwrap_or(0).clamp(first, walk.next_offset.max(first)),
        end_offset: walk.next_offset,
        clean,
        cut_files: cut_files.collect::<Result<_>>()?,
        snapshots,
        leader_epochs: walk.epochs.entries().to_vec(),
        segments: walk.segments,
        findings: walk.findings,
    })
}

impl Walk<'_> {
    fn segments(&mut self, bases: &[i64]) -> Result<()> {
        let mut files = Vec::with_capacity(bases.len());
        for &base_offset in bases {
            let path = self.dir.join(format!("{base_offset:020}.log"));
            let file = self.storage.open(&path, OpenMode::Read).map_err(LogError::io("open", &path))?;
            let bytes = file.len().map_err(LogError::io("read", &path))?;
            self.progress.total.fetch_add(bytes, Ordering::Relaxed);
            files.push((base_offset, path, bytes));
        }
        // What a cut or a compaction left behind is empty, and removed by opening the log.
        let last = files.len() - 1;
        let mut i = 0;
        files.retain(|&(_, _, bytes)| {
            i += 1;
            bytes > 0 || i == 1 || i - 1 == last
        });
        for (i, (base_offset, path, bytes)) in files.iter().enumerate() {
            let next_base = files.get(i + 1).map(|&(next, _, _)| next);
            if *base_offset > self.next_offset {
                self.missing(*base_offset);
            }
            self.next_offset = self.next_offset.max(*base_offset);
            let file = self.storage.open(path, OpenMode::Read).map_err(LogError::io("open", path))?;
            if !self.segment(*base_offset, path, &file, *bytes, next_base)? {
                return Ok(());
            }
        }
        if let Some(recovery_point) = self.recovery_point
            && self.next_offset < recovery_point
        {
            self.missing(recovery_point);
        }
        // Only now is it known whether compaction has left such gaps, which are no problem.
        if self.has_gaps {
            let end = self.recovery_point.filter(|_| !self.clean);
            for finding in &mut self.findings {
                let is_gap =
                    finding.kind == FindingKind::MissingOffsets && finding.offsets.1 != self.next_offset;
                if is_gap && end.is_none_or(|end| finding.offsets.1 <= end) {
                    (finding.is_problem, finding.is_repairable) = (false, false);
                }
            }
        }
        Ok(())
    }

    /// Notes that the offsets up to `end` are in no segment.
    fn missing(&mut self, end: i64) {
        let Some(before) = self.segments.last() else { return };
        let (segment, position) = (before.base_offset, before.bytes);
        let durable = self.recovery_point.is_none_or(|recovery_point| self.next_offset < recovery_point);
        self.findings.push(Finding {
            kind: FindingKind::MissingOffsets,
            is_problem: durable,
            is_repairable: durable && end - 1 - segment <= i64::from(i32::MAX),
            segment,
            file: self.dir.join(format!("{segment:020}.log")),
            position,
            bytes: 0,
            offsets: (self.next_offset, end),
            detail: "the offsets behind this segment are in no other one".into(),
        });
        self.next_offset = end;
    }

    /// Walks one segment; false when opening the log would let it end there.
    fn segment(
        &mut self,
        base_offset: i64,
        path: &Path,
        file: &Arc<dyn File>,
        bytes: u64,
        next_base: Option<i64>,
    ) -> Result<bool> {
        self.segment_bytes = bytes;
        let mut found = InspectedSegment { base_offset, bytes, ..InspectedSegment::default() };
        let mut indexes = IndexCheck::read(&**self.storage, self.dir, base_offset, bytes)?;
        let reader_from = |position| {
            BatchReader::new(file.clone(), path.into(), Access::Blocking, base_offset, position, bytes)
        };
        let mut reader = reader_from(0);
        let (mut counted, mut is_sound, mut goes_on) = (0, true, true);
        loop {
            match reader.next_checked()? {
                Step::Batch(header, position) => {
                    self.note(&mut found, &header);
                    indexes.note(&header, position);
                    self.progress.done.fetch_add(reader.position() - counted, Ordering::Relaxed);
                    counted = reader.position();
                }
                Step::End => break,
                Step::Bad { position, detail, .. } => {
                    is_sound = false;
                    let resumed =
                        damage::next_sound(file, path, base_offset, (position, bytes), self.next_offset)?;
                    let end = resumed.map_or(bytes, |(position, _)| position);
                    let end_offset = resumed.map(|(_, header)| header.base_offset).or(next_base);
                    goes_on = self.damaged((base_offset, path), (position, end), end_offset, detail, file)?;
                    let Some((position, _)) = resumed.filter(|_| goes_on) else { break };
                    reader = reader_from(position);
                }
            }
        }
        found.end_offset = self.next_offset;
        (found.index_entries, found.time_index_entries) = indexes.entries();
        let is_last = next_base.is_none();
        if is_sound {
            let is_scanned =
                self.recovery_point.is_some_and(|point| next_base.is_none_or(|next| next > point));
            let heals = !self.clean && (is_last || is_scanned);
            for (file, detail) in indexes.finish(found.max_timestamp, !is_last || self.clean) {
                self.findings.push(Finding {
                    kind: FindingKind::WrongIndex,
                    is_problem: !heals,
                    is_repairable: !heals
                        && file.extension().is_some_and(|extension| extension != "txnindex"),
                    segment: base_offset,
                    file,
                    position: 0,
                    bytes: 0,
                    offsets: (base_offset, self.next_offset),
                    detail,
                });
            }
        }
        self.segments.push(found);
        Ok(goes_on)
    }

    fn note(&mut self, found: &mut InspectedSegment, header: &BatchHeader) {
        found.batches += 1;
        found.records += header.records_count as u64;
        found.control_batches += u64::from(header.is_control());
        found.transactional_batches += u64::from(header.is_transactional());
        found.codecs[usize::from(header.attributes & CODEC_MASK).min(5)] += 1;
        let some = |timestamp: i64| Some(timestamp).filter(|&timestamp| timestamp >= 0);
        found.first_timestamp = found.first_timestamp.or(some(header.base_timestamp));
        found.max_timestamp = found.max_timestamp.max(some(header.max_timestamp));
        self.has_gaps |=
            header.base_offset > self.next_offset || header.records_count <= header.last_offset_delta;
        self.epochs.assign(header.partition_leader_epoch, header.base_offset);
        self.next_offset = header.next_offset();
    }

    /// Notes damage at a range of bytes, behind which a sound batch, or the next segment, starts at `end_offset`.
    /// False when opening the log cuts it off here.
    fn damaged(
        &mut self,
        (segment, path): (i64, &Path),
        (position, end): (u64, u64),
        end_offset: Option<i64>,
        detail: String,
        file: &Arc<dyn File>,
    ) -> Result<bool> {
        let is_durable = match self.recovery_point {
            Some(recovery_point) => self.next_offset < recovery_point,
            // Of a log of somebody else's only a torn tail is cut.
            None => end_offset.is_some(),
        };
        // Those of Kafka before 0.11 fill whole segments; elsewhere it is a byte that was damaged.
        let may_be_old = self.recovery_point.is_none() || (position == 0 && end == self.segment_bytes);
        let is_old = may_be_old && damage::is_old_format(file, path, position)?;
        let up_to = end_offset.or(self.recovery_point).unwrap_or(self.next_offset).max(self.next_offset);
        let finding = Finding {
            kind: match (is_old, is_durable) {
                (true, _) => FindingKind::OldFormat,
                (false, true) => FindingKind::DamagedBatches,
                (false, false) => FindingKind::TornTail,
            },
            is_problem: is_durable || is_old,
            is_repairable: is_durable && !is_old && up_to - 1 - segment <= i64::from(i32::MAX),
            segment,
            file: path.into(),
            position,
            bytes: end - position,
            offsets: (self.next_offset, up_to),
            detail,
        };
        self.findings.push(finding);
        if is_durable {
            self.next_offset = up_to;
        }
        Ok(is_durable && !is_old)
    }

    fn check_epochs(&mut self) -> Result<()> {
        let Some(recovery_point) = self.recovery_point else { return Ok(()) };
        let recorded = LeaderEpochs::read(&**self.storage, self.dir)?.unwrap_or_default();
        let durable = self.epochs.entries().iter().filter(|&&(_, start)| start < recovery_point);
        let wrong: Vec<i32> = durable
            .filter(|&&(epoch, start)| recorded.start_of(epoch).is_none_or(|known| known > start))
            .map(|&(epoch, _)| epoch)
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        self.findings.push(Finding {
            kind: FindingKind::WrongEpochs,
            is_problem: true,
            is_repairable: true,
            segment: self.segments[0].base_offset,
            file: self.dir.join(LEADER_EPOCHS),
            position: 0,
            bytes: 0,
            offsets: (self.segments[0].base_offset, self.next_offset),
            detail: format!("it does not say where the leader epochs {wrong:?} of the batches start"),
        });
        Ok(())
    }

    fn check_snapshots(&mut self, names: &[String]) -> Result<Vec<(i64, Option<usize>)>> {
        let mut found = Vec::new();
        for offset in producer_snapshot::offsets(names) {
            let producers = producer_snapshot::read(&**self.storage, self.dir, offset)?;
            if producers.is_none() {
                self.findings.push(Finding {
                    kind: FindingKind::WrongSnapshot,
                    is_problem: false,
                    is_repairable: false,
                    segment: offset,
                    file: producer_snapshot::path(self.dir, offset),
                    position: 0,
                    bytes: 0,
                    offsets: (offset, offset),
                    detail: "it is no snapshot of producers, or does not agree with its checksum".into(),
                });
            }
            found.push((offset, producers.map(|producers| producers.len())));
        }
        Ok(found)
    }
}

impl Inspection {
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_problem)
    }
}
