//! Repairing a log that an inspection found damaged. Sound batches stay where they are. In the place of damaged ones
//! stands an empty batch with their offsets, so that none is given a second time, and their bytes are kept aside as
//! `<offset>.cut`. A segment is replaced as a compaction replaces one, so a crash leaves the old one or the new one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_records::{BatchHeader, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, empty_batch};

use crate::batch_reader::{Access, BatchReader, Step};
use crate::checkpoint::replace_name;
use crate::cleaned_segment::{CleanedSegment, recover_compaction, take_place};
use crate::cut_file::free_cut_path;
use crate::data_dir::DataDir;
use crate::error::{LogError, Result};
use crate::inspect::{Finding, FindingKind, Inspection, Progress, inspect};
use crate::leader_epochs::LeaderEpochs;
use crate::segment::{DEFAULT_INTERVAL_BYTES, Indexes};
use crate::storage::{File, OpenMode, Storage};
use crate::transactions::AbortedTransaction;
use crate::txn_index::TransactionIndex;

const COPY_BYTES: usize = 1 << 20;

/// What a repair did about a finding.
#[derive(Clone, Debug)]
pub struct Repaired {
    pub finding: Finding,
    /// Where the damaged bytes are now, if there were any.
    pub kept_aside: Option<PathBuf>,
}

struct Repair<'a> {
    storage: &'a Arc<dyn Storage>,
    dir: &'a Path,
}

/// Inspects the log `name` of a data directory and repairs what can be. The log must not be open.
pub fn repair(directory: &Arc<DataDir>, name: &str, progress: &Progress) -> Result<Vec<Repaired>> {
    let found = directory.log_opens(name)?;
    let (storage, dir) = (&directory.storage, directory.log_dir(name));
    let repair = Repair { storage, dir: &dir };
    let names = storage.list(&dir).map_err(LogError::io("list", &dir))?;
    recover_compaction(storage, &dir, &names)?;
    let inspection = inspect(storage, &directory.path, name, progress)?;
    let repaired = repair.all(&inspection)?;
    if found.clean {
        directory.log_closed_cleanly(name);
    }
    Ok(repaired)
}

impl Repair<'_> {
    fn all(&self, inspection: &Inspection) -> Result<Vec<Repaired>> {
        let mut repaired = Vec::new();
        for segment in &inspection.segments {
            let of_segment = |kinds: &[FindingKind]| -> Vec<Finding> {
                let here =
                    inspection.findings.iter().filter(|finding| finding.segment == segment.base_offset);
                here.filter(|finding| finding.is_repairable && kinds.contains(&finding.kind))
                    .cloned()
                    .collect()
            };
            let holes = of_segment(&[FindingKind::DamagedBatches, FindingKind::MissingOffsets]);
            if !holes.is_empty() {
                let aside = self.replace(segment.base_offset, segment.bytes, &holes)?;
                repaired.extend(
                    holes
                        .into_iter()
                        .zip(aside)
                        .map(|(finding, kept_aside)| Repaired { finding, kept_aside }),
                );
                continue;
            }
            let wrong = of_segment(&[FindingKind::WrongIndex]);
            if !wrong.is_empty() {
                self.index_again(segment.base_offset, segment.bytes)?;
                repaired.extend(wrong.into_iter().map(|finding| Repaired { finding, kept_aside: None }));
            }
        }
        for finding in &inspection.findings {
            if finding.kind == FindingKind::WrongEpochs && finding.is_repairable {
                self.write_epochs(&inspection.leader_epochs)?;
                repaired.push(Repaired { finding: finding.clone(), kept_aside: None });
            }
        }
        Ok(repaired)
    }

    fn sync_names(&self) -> Result<()> {
        self.storage.sync_dir(self.dir).map_err(LogError::io("fsync", self.dir))
    }

    fn path(&self, base_offset: i64, extension: &str) -> PathBuf {
        self.dir.join(format!("{base_offset:020}.{extension}"))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.storage.open(path, OpenMode::Read).map_err(LogError::io("open", path))
    }

    /// Writes the segment anew with empty batches in its holes, which are in the order of their positions, and says where
    /// the bytes of each are kept.
    fn replace(&self, base_offset: i64, bytes: u64, holes: &[Finding]) -> Result<Vec<Option<PathBuf>>> {
        let path = self.path(base_offset, "log");
        let file = self.open(&path)?;
        let mut aside = Vec::with_capacity(holes.len());
        for hole in holes {
            aside.push(if hole.bytes > 0 { Some(self.keep_aside(&file, &path, hole)?) } else { None });
        }
        self.sync_names()?;
        let aborted = self.aborted_transactions(base_offset)?;
        let mut segment =
            CleanedSegment::create(self.storage, self.dir, base_offset, DEFAULT_INTERVAL_BYTES)?;
        let (mut position, mut epoch) = (0, 0);
        for hole in holes.iter().map(Some).chain([None]) {
            let end = hole.map_or(bytes, |hole| hole.position);
            epoch = copy_batches(&file, &path, base_offset, (position, end), epoch, &aborted, &mut segment)?;
            let Some(hole) = hole else { break };
            if hole.offsets.0 < hole.offsets.1 {
                segment.append(&empty_in(hole.offsets, epoch), None)?;
            }
            position = hole.position + hole.bytes;
        }
        segment.finish()?;
        segment.commit(|| self.sync_names())?;
        take_place(&**self.storage, self.dir, base_offset, [base_offset], || self.sync_names())?;
        Ok(aside)
    }

    /// Copies damaged bytes under a name that is not taken.
    fn keep_aside(&self, file: &Arc<dyn File>, path: &Path, hole: &Finding) -> Result<PathBuf> {
        let offset = hole.offsets.0;
        let aside = free_cut_path(&**self.storage, self.dir, offset)?;
        let target = self.storage.open(&aside, OpenMode::Create).map_err(LogError::io("create", &aside))?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut copied = 0;
        while copied < hole.bytes {
            let wanted = (hole.bytes - copied).min(COPY_BYTES as u64) as usize;
            let read = file
                .read_at(&mut buffer[..wanted], hole.position + copied)
                .map_err(LogError::io("read", path))?;
            if read == 0 {
                break;
            }
            target.write_at(&[&buffer[..read]], copied).map_err(LogError::io("write", &aside))?;
            copied += read as u64;
        }
        target.sync_data().map_err(LogError::io("fsync", &aside))?;
        Ok(aside)
    }

    fn aborted_transactions(&self, base_offset: i64) -> Result<Vec<AbortedTransaction>> {
        let path = self.path(base_offset, "txnindex");
        if !self.storage.exists(&path).map_err(LogError::io("look for", &path))? {
            return Ok(Vec::new());
        }
        let file = self.open(&path)?;
        let mut bytes = vec![0; file.len().map_err(LogError::io("read", &path))? as usize];
        file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
        let mut found = Vec::new();
        if let Some(index) = TransactionIndex::parse(base_offset, &bytes) {
            index.collect(0, i64::MAX, &mut found);
        }
        Ok(found)
    }

    /// Builds both sparse indexes from the batches. A crash on the way leaves one that is rebuilt when it is read.
    fn index_again(&self, base_offset: i64, bytes: u64) -> Result<()> {
        let path = self.path(base_offset, "log");
        let mut indexes = Indexes::new(base_offset);
        let mut reader =
            BatchReader::new(self.open(&path)?, path.clone(), Access::Blocking, base_offset, 0, bytes);
        while let Step::Batch(header, position) = reader.next_header()? {
            indexes.note(&header, position, DEFAULT_INTERVAL_BYTES);
        }
        let (offsets, times) = indexes.write_out();
        for (extension, content) in [("index", offsets), ("timeindex", times)] {
            let name = format!("{base_offset:020}.{extension}");
            replace_name(&**self.storage, self.dir, &name, &content)?;
        }
        self.sync_names()
    }

    fn write_epochs(&self, found: &[(i32, i64)]) -> Result<()> {
        let recorded = LeaderEpochs::read(&**self.storage, self.dir)?.unwrap_or_default();
        let mut epochs = LeaderEpochs::default();
        for &(epoch, start) in found {
            // Its first records may have been compacted away; the checkpoint may remember where they were.
            let known = recorded.start_of(epoch).filter(|&known| known <= start);
            epochs.assign(epoch, known.unwrap_or(start));
        }
        epochs.write(&**self.storage, self.dir)?;
        self.sync_names()
    }
}

/// Copies the batches of a range that is known to be sound; the leader epoch of the last of them.
fn copy_batches(
    file: &Arc<dyn File>,
    path: &Path,
    base_offset: i64,
    (from, end): (u64, u64),
    mut epoch: i32,
    aborted: &[AbortedTransaction],
    target: &mut CleanedSegment,
) -> Result<i32> {
    let mut reader = BatchReader::new(file.clone(), path.into(), Access::Blocking, base_offset, from, end);
    let mut batch = Vec::new();
    loop {
        match reader.next_checked()? {
            Step::Batch(header, position) => {
                batch.resize(header.total_bytes() as usize, 0);
                file.read_at(&mut batch, position).map_err(LogError::io("read", path))?;
                let offsets = header.base_offset..header.next_offset();
                let ends = aborted.iter().find(|transaction| offsets.contains(&transaction.last_offset));
                target.append(&batch, ends.copied())?;
                epoch = header.partition_leader_epoch;
            }
            Step::End => return Ok(epoch),
            Step::Bad { position, offset, detail } => {
                return Err(LogError::Corrupt { file: path.into(), position, offset, detail });
            }
        }
    }
}

/// A batch without records that takes the place of those with these offsets.
fn empty_in((from, up_to): (i64, i64), epoch: i32) -> Vec<u8> {
    empty_batch(&BatchHeader {
        base_offset: from,
        batch_length: 0,
        partition_leader_epoch: epoch,
        magic: MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: (up_to - 1 - from) as i32,
        base_timestamp: -1,
        max_timestamp: -1,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
        records_count: 0,
    })
}
