//! What a compaction writes, and how it takes the place of what it was made from. The new files are written as
//! `.cleaned`. Renamed to `.swap`, the `.log` last and all of them durable, they count: from then on a recovery finishes
//! what was begun. The segments that they replace are removed, and they get their own names. Kafka does the same, with
//! the same names, so that either finishes what the other was doing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_records::BatchHeader;

use crate::batch_reader::{Access, BatchReader, Step};
use crate::error::{LogError, Result};
use crate::segment::{DEFAULT_INTERVAL_BYTES, Indexes, Segment, offset_in};
use crate::storage::{File, OpenMode, Storage};
use crate::transactions::AbortedTransaction;
use crate::txn_index::TransactionIndex;

const CLEANED: &str = ".cleaned";
const SWAP: &str = ".swap";
/// Of a name between two renames of a recovery.
const RENEWED: &str = ".swap.renew";
const LOG: &str = "log";
/// Of a segment, those that say where things are in its log.
const INDEXES: [&str; 3] = ["index", "timeindex", "txnindex"];

/// Small writes are gathered up to this much.
const WRITE_BYTES: usize = 1 << 20;
/// What the page cache may hold before it is flushed: one large flush at the end would hold up those of the appends.
const UNSYNCED_BYTES: u64 = 8 << 20;

/// A segment while it is written.
pub(crate) struct CleanedSegment {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    base_offset: i64,
    file: Arc<dyn File>,
    written: u64,
    synced: u64,
    pending: Vec<u8>,
    indexes: Indexes,
    aborted: TransactionIndex,
    index_interval_bytes: u64,
}

/// A segment that counts and does not have its own names yet.
pub(crate) struct Committed {
    pub segment: Arc<Segment>,
    /// Whoever opened it again by its name would get another one.
    _file: Arc<dyn File>,
}

fn file_path(dir: &Path, base_offset: i64, extension: &str, suffix: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{extension}{suffix}"))
}

impl CleanedSegment {
    pub fn create(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u64,
    ) -> Result<Self> {
        let path = file_path(dir, base_offset, LOG, CLEANED);
        let file = storage.open(&path, OpenMode::Create).map_err(LogError::io("create", &path))?;
        Ok(Self {
            storage: storage.clone(),
            dir: dir.to_path_buf(),
            base_offset,
            file,
            written: 0,
            synced: 0,
            pending: Vec::with_capacity(WRITE_BYTES),
            indexes: Indexes::new(base_offset),
            aborted: TransactionIndex::default(),
            index_interval_bytes,
        })
    }

    pub fn bytes(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn path(&self, extension: &str, suffix: &str) -> PathBuf {
        file_path(&self.dir, self.base_offset, extension, suffix)
    }

    pub fn append(&mut self, batch: &[u8], aborted: Option<AbortedTransaction>) -> Result<()> {
        let header = BatchHeader::parse(batch).expect("a cleaned batch is a batch");
        self.indexes.note(&header, self.bytes(), self.index_interval_bytes);
        aborted.into_iter().for_each(|transaction| self.aborted.push(transaction));
        if self.pending.len() + batch.len() > WRITE_BYTES {
            self.write_pending()?;
        }
        self.pending.extend_from_slice(batch);
        Ok(())
    }

    fn write_pending(&mut self) -> Result<()> {
        let path = self.path(LOG, CLEANED);
        self.file.write_at(&[&self.pending], self.written).map_err(LogError::io("write", &path))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        if self.written >= self.synced + UNSYNCED_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(LogError::io("fsync", &self.path(LOG, CLEANED)))?;
        self.synced = self.written;
        Ok(())
    }

    /// Makes everything written durable, under names that do not count.
    pub fn finish(&mut self) -> Result<()> {
        self.write_pending()?;
        self.sync()?;
        for (extension, bytes) in INDEXES.into_iter().zip(self.index_files()) {
            let Some(bytes) = bytes else { continue };
            write_durably(&*self.storage, &self.path(extension, CLEANED), &bytes)?;
        }
        Ok(())
    }

    /// The content of each of [`INDEXES`] that the segment has.
    fn index_files(&mut self) -> [Option<Vec<u8>>; 3] {
        let (offsets, times) = self.indexes.write_out();
        let aborted = (!self.aborted.is_empty()).then(|| self.aborted.to_bytes());
        [Some(offsets), Some(times), aborted]
    }

    /// Makes the new files count. After an error only the next recovery knows whether they do.
    pub fn commit(self, sync_names: impl Fn() -> Result<()>) -> Result<Committed> {
        let extensions = INDEXES.into_iter().filter(|&name| name != "txnindex" || !self.aborted.is_empty());
        for extension in extensions.chain([LOG]) {
            rename(&*self.storage, &self.path(extension, CLEANED), &self.path(extension, SWAP))?;
        }
        sync_names()?;
        let Self { storage, dir, base_offset, file, written, indexes, aborted, .. } = self;
        let segment = Segment::written(&storage, &dir, base_offset, &file);
        segment.restore(written, indexes, aborted);
        Ok(Committed { segment: Arc::new(segment), _file: file })
    }

    /// Removes what was written, which does not count.
    pub fn discard(self) -> Result<()> {
        for extension in INDEXES.into_iter().chain([LOG]) {
            remove_if_there(&*self.storage, &self.path(extension, CLEANED))?;
        }
        Ok(())
    }
}

/// Removes the files of the segments at `replaced`, and gives the new one at `base_offset` its own names. `sync_names`
/// makes the directory's names durable.
pub(crate) fn take_place(
    storage: &dyn Storage,
    dir: &Path,
    base_offset: i64,
    replaced: impl IntoIterator<Item = i64>,
    sync_names: impl Fn() -> Result<()>,
) -> Result<()> {
    for base in replaced.into_iter().filter(|&base| base != base_offset) {
        for extension in [LOG].into_iter().chain(INDEXES) {
            remove_if_there(storage, &file_path(dir, base, extension, ""))?;
        }
    }
    for extension in INDEXES {
        let [swap, own] = [SWAP, ""].map(|suffix| file_path(dir, base_offset, extension, suffix));
        match storage.exists(&swap).map_err(LogError::io("look for", &swap))? {
            true => rename(storage, &swap, &own)?,
            false => remove_if_there(storage, &own)?,
        }
    }
    // The name that makes a recovery do this again is the last to go, and only once all this is durable.
    sync_names()?;
    rename(storage, &file_path(dir, base_offset, LOG, SWAP), &file_path(dir, base_offset, LOG, ""))?;
    sync_names()
}

/// Finishes what a crash during a compaction left, or removes it where it does not count, and says whether there was
/// anything. `names` are those in the directory. Waits for the disk.
pub(crate) fn recover_compaction(storage: &Arc<dyn Storage>, dir: &Path, names: &[String]) -> Result<bool> {
    if !names.iter().any(|name| is_left_over(name)) {
        return Ok(false);
    }
    let bases = |suffix: &'static str| {
        names.iter().filter_map(move |name| offset_in(name, &format!(".{LOG}{suffix}")))
    };
    // Kafka renames several from the last one on: as long as one is not finished, none behind it counts.
    let first_unfinished = bases(CLEANED).min().unwrap_or(i64::MAX);
    let finished = bases(SWAP).chain(bases(RENEWED)).filter(|&base| base < first_unfinished);
    let finished: BTreeSet<i64> = finished.collect();
    let sync_names = || storage.sync_dir(dir).map_err(LogError::io("fsync", dir));
    for &base_offset in &finished {
        // Whoever renamed it may have ended before its name was durable, or after an fsync of the directory failed, and
        // then only a new change of the name is. What it replaces must not go before that.
        let [swap, renewed] = [SWAP, RENEWED].map(|suffix| file_path(dir, base_offset, LOG, suffix));
        if storage.exists(&swap).map_err(LogError::io("look for", &swap))? {
            rename(&**storage, &swap, &renewed)?;
        }
        rename(&**storage, &renewed, &swap)?;
    }
    sync_names()?;
    for base_offset in finished {
        let end_offset = index_again(storage, dir, base_offset)?;
        let covered = bases("").filter(|base| (base_offset..end_offset).contains(base));
        take_place(&**storage, dir, base_offset, covered, sync_names)?;
    }
    for name in names.iter().filter(|name| is_left_over(name)) {
        remove_if_there(&**storage, &dir.join(name))?;
    }
    sync_names().map(|()| true)
}

fn is_left_over(name: &str) -> bool {
    let stem = [CLEANED, SWAP, RENEWED].iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.is_some_and(|stem| {
        [LOG].into_iter().chain(INDEXES).any(|extension| offset_in(stem, &format!(".{extension}")).is_some())
    })
}

/// Reads the segment that is about to take the place of others, and writes its indexes: nobody knows how far the crash
/// let their names come. Returns the offset behind it.
fn index_again(storage: &Arc<dyn Storage>, dir: &Path, base_offset: i64) -> Result<i64> {
    let path = file_path(dir, base_offset, LOG, SWAP);
    let file = storage.open(&path, OpenMode::Read).map_err(LogError::io("open", &path))?;
    let bytes = file.len().map_err(LogError::io("read", &path))?;
    let mut indexes = Indexes::new(base_offset);
    let mut end_offset = base_offset;
    let mut reader = BatchReader::new(file, path.clone(), Access::Blocking, base_offset, 0, bytes);
    loop {
        match reader.next_checked()? {
            Step::Batch(header, position) => {
                indexes.note(&header, position, DEFAULT_INTERVAL_BYTES);
                end_offset = header.next_offset();
            }
            Step::End => break,
            Step::Bad { position, offset, detail } => {
                return Err(LogError::Corrupt { file: path, position, offset, detail });
            }
        }
    }
    let (offsets, times) = indexes.write_out();
    for (extension, content) in INDEXES.into_iter().zip([offsets, times]) {
        write_durably(&**storage, &file_path(dir, base_offset, extension, SWAP), &content)?;
    }
    Ok(end_offset)
}

fn write_durably(storage: &dyn Storage, path: &Path, content: &[u8]) -> Result<()> {
    let file = storage.open(path, OpenMode::Create).map_err(LogError::io("create", path))?;
    file.write_at(&[content], 0).map_err(LogError::io("write", path))?;
    file.sync_data().map_err(LogError::io("fsync", path))
}

fn rename(storage: &dyn Storage, from: &Path, to: &Path) -> Result<()> {
    storage.rename(from, to).map_err(LogError::io("rename", from))
}

fn remove_if_there(storage: &dyn Storage, path: &Path) -> Result<()> {
    match storage.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(LogError::io("remove", path)),
    }
}
