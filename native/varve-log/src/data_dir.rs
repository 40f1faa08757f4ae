//! A data directory: its lock, its identity, the clean marker and the recovery points of the logs in it.
//!
//! The clean marker says that every log here was closed with everything flushed. It is removed, durably, before the
//! first append can happen, and written only after the last log has closed without a failure; so an unclean stop can
//! never be mistaken for a clean one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::checkpoint::{CheckpointWriter, OffsetCheckpoint, read_file, replace_file};
use crate::error::{LogError, Result};
use crate::segment::offset_in;
use crate::slow_disk::{DiskPace, WriteTime};
use crate::storage::{LockGuard, Storage};
use crate::sync::{Mutex, MutexGuard};

const LOCK_FILE: &str = ".lock";
pub(crate) const CLEAN_MARKER: &str = ".kafka_cleanshutdown";
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(crate) const START_OFFSETS: &str = "log-start-offset-checkpoint";
const CLEANED_OFFSETS: &str = "cleaner-offset-checkpoint";
const META_PROPERTIES: &str = "meta.properties";

/// Who the directory belongs to. The ids that are not asked for are taken from the directory, or are the new ones.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    /// Written when the directory has no cluster id yet and none is asked for.
    pub new_cluster_id: String,
    /// Written when the directory has no id yet.
    pub new_directory_id: String,
}

pub struct DataDir {
    pub storage: Arc<dyn Storage>,
    pub path: PathBuf,
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: String,
    /// Whether the directory was closed cleanly the last time.
    pub clean_shutdown: bool,
    pub(crate) pace: DiskPace,
    state: Mutex<DirState>,
    checkpoints: CheckpointWriter,
    recovery_points: OffsetCheckpoint,
    /// Of the logs whose records were deleted up to an offset that no segment starts with.
    start_offsets: OffsetCheckpoint,
    /// Up to where the logs that are compacted have been.
    cleaned_offsets: OffsetCheckpoint,
    compacting: AtomicBool,
    /// The closes of logs that have been asked for and are not over. Their recovery points are written once, by the last of
    /// them: until then the older ones, from which a recovery would only read more, are as true.
    closings: AtomicUsize,
}

/// One of the closes that are not over.
pub struct ClosingTurn {
    directory: Arc<DataDir>,
    is_over: bool,
}

struct DirState {
    /// Logs that may hold bytes past their recovery point.
    unclean: BTreeSet<String>,
    open: BTreeSet<String>,
    lock: Option<LockGuard>,
}

/// Keeps a log from being opened a second time, until it is dropped.
pub(crate) struct Hold {
    directory: Arc<DataDir>,
    name: String,
    lock: Option<LockGuard>,
}

/// What a data directory knows of a log that opens.
pub(crate) struct Found {
    pub hold: Hold,
    /// Whether its directory is there.
    pub existed: bool,
    /// Whether what was known of a log that had its name before has changed, and is not durable yet.
    pub is_stale: bool,
    /// Below it everything was flushed; `None` when that is not known.
    pub recovery_point: Option<i64>,
    /// What lies before it was deleted.
    pub start_offset: i64,
    /// Whether nothing can lie behind the recovery point.
    pub clean: bool,
}

/// Held by the one compaction that is under way in a data directory.
pub(crate) struct CompactionTurn(Arc<DataDir>);

impl Drop for CompactionTurn {
    fn drop(&mut self) {
        self.0.compacting.store(false, Ordering::Release);
    }
}

impl ClosingTurn {
    /// Takes the recovery point of a log that has been flushed.
    pub(crate) fn note_recovery_point(&self, name: &str, offset: i64) {
        self.directory.note_recovery_point(name, offset);
    }

    /// Writes what was noted if no other close is under way.
    pub(crate) fn end(mut self) -> Result<()> {
        if self.leave() { self.directory.write_noted() } else { Ok(()) }
    }

    /// Whether no other is under way.
    fn leave(&mut self) -> bool {
        self.is_over = true;
        self.directory.closings.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Drop for ClosingTurn {
    /// Of a log that others go on with, or whose close failed midway. What was noted meanwhile the directory writes.
    fn drop(&mut self) {
        if !self.is_over {
            self.leave();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.lock = None;
        self.directory.state().open.remove(&self.name);
    }
}

impl DataDir {
    /// Creates what is missing, takes the lock and removes the clean marker.
    pub fn open(storage: Arc<dyn Storage>, path: &Path, identity: &Identity) -> Result<Arc<Self>> {
        let refused =
            |source: io::Error| LogError::NotWritable { dir: path.into(), source: Arc::new(source) };
        if !storage.is_dir(path).map_err(refused)? {
            create_dir_durably(storage.as_ref(), path).map_err(refused)?;
        }
        let lock = storage.lock(&path.join(LOCK_FILE)).map_err(refused)?;
        let lock = lock.ok_or_else(|| LogError::Locked { dir: path.into() })?;
        if is_log_of_a_locked_directory(storage.as_ref(), path)? {
            return Err(LogError::Locked { dir: path.into() });
        }
        let marker = path.join(CLEAN_MARKER);
        let clean_shutdown = storage.exists(&marker).map_err(LogError::io("look for", &marker))?;
        let (cluster_id, node_id, directory_id) = identify(storage.as_ref(), path, identity, clean_shutdown)?;
        // After an unclean stop the files' names may not be durable.
        let checkpoint = |file| OffsetCheckpoint::read(storage.as_ref(), path, file, clean_shutdown);
        let (recovery_points, start_offsets) = (checkpoint(RECOVERY_POINTS)?, checkpoint(START_OFFSETS)?);
        let cleaned_offsets = checkpoint(CLEANED_OFFSETS)?;
        let mut unclean = BTreeSet::new();
        if clean_shutdown {
            storage.remove(&marker).map_err(LogError::io("remove", &marker))?;
            storage.sync_dir(path).map_err(LogError::io("fsync", path))?;
        } else {
            unclean.extend(log_names(storage.as_ref(), path)?);
        }
        let state = DirState { unclean, open: BTreeSet::new(), lock: Some(lock) };
        Ok(Arc::new(Self {
            storage,
            path: path.to_path_buf(),
            cluster_id,
            node_id,
            directory_id,
            clean_shutdown,
            pace: DiskPace::default(),
            state: Mutex::new(state),
            checkpoints: CheckpointWriter::default(),
            recovery_points,
            start_offsets,
            cleaned_offsets,
            compacting: AtomicBool::new(false),
            closings: AtomicUsize::new(0),
        }))
    }

    fn state(&self) -> MutexGuard<'_, DirState> {
        self.state.lock().expect("the directory's lock is never held across a panic")
    }

    /// Called as soon as a log is to be closed.
    pub(crate) fn begin_closing(self: &Arc<Self>) -> ClosingTurn {
        self.closings.fetch_add(1, Ordering::AcqRel);
        ClosingTurn { directory: self.clone(), is_over: false }
    }

    /// Writes the recovery points of logs that have closed, if that is still to be done.
    fn write_noted(&self) -> Result<()> {
        if self.recovery_points.has_changed() { self.write_recovery_points() } else { Ok(()) }
    }

    /// Where the log `name` lives; the empty name is the directory itself.
    pub fn log_dir(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(name) }
    }

    /// Takes how long a write to this disk took, as if it had been an append's.
    pub fn note_write(&self, elapsed: Duration) {
        self.pace.note(WriteTime { elapsed, waited: true });
    }

    /// Directories that hold a log.
    pub fn logs(&self) -> Result<Vec<String>> {
        log_names(self.storage.as_ref(), &self.path)
    }

    /// Called when a log opens. From here on it counts as unclean until it is closed.
    pub(crate) fn log_opens(self: &Arc<Self>, name: &str) -> Result<Found> {
        let dir = self.log_dir(name);
        if !name.is_empty() && !is_file_name(name) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "a log's name is that of one directory");
            return Err(LogError::io("open the log", &dir)(source));
        }
        let mut hold = {
            let mut state = self.state();
            if state.lock.is_none() {
                return Err(LogError::Closed { dir: self.path.clone() });
            }
            if !state.open.insert(name.to_string()) {
                return Err(LogError::Locked { dir });
            }
            Hold { directory: self.clone(), name: name.to_string(), lock: None }
        };
        hold.lock = self.lock_log(name, &dir)?;
        let existed = self.storage.is_dir(&dir).map_err(LogError::io("look for", &dir))?;
        let is_stale = !existed && self.note_successor(name);
        let recovery_point = self.recovery_points.get(name);
        let start_offset = self.start_offsets.get(name);
        if !self.clean_shutdown && start_offset.is_some() {
            // Shown from now on, so it must last: the name of the file may not be durable.
            self.set(&self.start_offsets, name, start_offset)?;
        }
        let start_offset = start_offset.unwrap_or(0);
        // A log that is not on the list was closed cleanly, by the last process or by this one, or is new.
        let clean = self.state().unclean.insert(name.to_string());
        Ok(Found { hold, existed, is_stale, recovery_point, start_offset, clean })
    }

    /// Forgets what is known of a log that was deleted: what its successor writes must not be measured by that. Returns
    /// whether there may be anything of it on disk, and [`DataDir::write_offsets`] has to come before the successor: it may
    /// have been forgotten before and not durably, by [`DataDir::log_discarded`] or because the disk failed.
    fn note_successor(&self, name: &str) -> bool {
        if self.recovery_points.get(name).is_some_and(|stale| stale > 0) {
            self.recovery_points.note(name, Some(0));
        }
        self.start_offsets.note(name, None);
        self.cleaned_offsets.note(name, None);
        self.offsets().iter().any(|offsets| offsets.differs_on_disk(name))
    }

    fn offsets(&self) -> [&OffsetCheckpoint; 3] {
        [&self.recovery_points, &self.start_offsets, &self.cleaned_offsets]
    }

    /// Makes durable whatever has changed of what is known of logs.
    pub(crate) fn write_offsets(&self) -> Result<()> {
        self.offsets()
            .into_iter()
            .filter(|offsets| offsets.has_changed())
            .try_for_each(|offsets| self.write(offsets))
    }

    /// A log that was opened on its own before, as a data directory, may be so now.
    fn lock_log(&self, name: &str, dir: &Path) -> Result<Option<LockGuard>> {
        let path = dir.join(LOCK_FILE);
        if name.is_empty() || !self.storage.exists(&path).map_err(LogError::io("look for", &path))? {
            return Ok(None);
        }
        let lock = self.storage.lock(&path).map_err(LogError::io("lock", &path))?;
        lock.map(Some).ok_or_else(|| LogError::Locked { dir: dir.into() })
    }

    /// Called when a log has closed with everything flushed and its recovery point at its end.
    pub(crate) fn log_closed_cleanly(&self, name: &str) {
        self.state().unclean.remove(name);
    }

    /// Called when a log has closed that is about to be removed. Nothing has to be durable: should it stay after a crash, it
    /// counts as one that came from elsewhere.
    pub(crate) fn log_discarded(&self, name: &str) {
        self.offsets().iter().for_each(|offsets| offsets.note(name, None));
        self.state().unclean.remove(name);
    }

    /// Makes `offset` the durable recovery point of the log `name`: what lies before it is on disk for good.
    pub(crate) fn checkpoint(&self, name: &str, offset: i64) -> Result<()> {
        self.set(&self.recovery_points, name, Some(offset))
    }

    /// Takes the recovery point of the log `name`, which the next [`DataDir::write_recovery_points`] makes durable.
    pub(crate) fn note_recovery_point(&self, name: &str, offset: i64) {
        self.recovery_points.note(name, Some(offset));
    }

    /// Makes all recovery points durable, if they are not.
    pub(crate) fn write_recovery_points(&self) -> Result<()> {
        self.write(&self.recovery_points)
    }

    /// Makes `offset` the durable log start offset of the log `name`: what lies before it is deleted for good.
    pub(crate) fn save_start(&self, name: &str, offset: i64) -> Result<()> {
        self.set(&self.start_offsets, name, Some(offset))
    }

    /// Up to where the log `name` was compacted.
    pub(crate) fn cleaned_offset(&self, name: &str) -> Option<i64> {
        self.cleaned_offsets.get(name)
    }

    /// Makes it durable that the log `name` was compacted up to `offset`.
    pub(crate) fn save_cleaned(&self, name: &str, offset: i64) -> Result<()> {
        self.set(&self.cleaned_offsets, name, Some(offset))
    }

    /// Makes it durable that the log `name` was not compacted from `offset` on: other records may follow there.
    pub(crate) fn forget_cleaned(&self, name: &str, offset: i64) -> Result<()> {
        match self.cleaned_offsets.get(name) {
            Some(cleaned) if cleaned > offset => {
                self.set(&self.cleaned_offsets, name, Some(offset).filter(|&offset| offset > 0))
            }
            _ => Ok(()),
        }
    }

    /// The right to compact a log of the directory, unless another one has it.
    pub(crate) fn take_compaction_turn(self: &Arc<Self>) -> Option<CompactionTurn> {
        let taken = self.compacting.swap(true, Ordering::AcqRel);
        (!taken).then(|| CompactionTurn(self.clone()))
    }

    fn set(&self, checkpoint: &OffsetCheckpoint, name: &str, offset: Option<i64>) -> Result<()> {
        checkpoint.note(name, offset);
        self.write(checkpoint)
    }

    fn write(&self, checkpoint: &OffsetCheckpoint) -> Result<()> {
        checkpoint.write(&self.checkpoints, self.storage.as_ref(), &self.path)
    }

    /// Writes the clean marker if every log here is clean, and lets go of the lock. Close the logs first.
    pub fn close(&self) -> Result<()> {
        let (clean, lock) = {
            let mut state = self.state();
            (state.unclean.is_empty(), state.lock.take())
        };
        if lock.is_some() {
            self.write_noted()?;
        }
        if lock.is_some() && clean {
            let marker = br#"{"version":0,"brokerEpoch":-1}"#;
            replace_file(self.storage.as_ref(), &self.path, CLEAN_MARKER, marker)?;
        }
        Ok(())
    }
}

/// Whether `name` is one component of a path, on one line.
fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        && !name.contains(['\n', '\r'])
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) if path != Path::new(".") => Path::new("."),
        _ => path,
    }
}

/// Whether `path` lies in a data directory that somebody has open.
fn is_log_of_a_locked_directory(storage: &dyn Storage, path: &Path) -> Result<bool> {
    let parent = parent_of(path);
    let [meta, lock] = [META_PROPERTIES, LOCK_FILE].map(|name| parent.join(name));
    let is_there = |file: &Path| storage.exists(file).map_err(LogError::io("look for", file));
    if parent == path || !is_there(&meta)? || !is_there(&lock)? {
        return Ok(false);
    }
    Ok(storage.lock(&lock).map_err(LogError::io("lock", &lock))?.is_none())
}

/// Sub-directories with segments in them, and the directory itself under the empty name when it has some.
pub fn log_names(storage: &dyn Storage, path: &Path) -> Result<Vec<String>> {
    let is_segment =
        |file: &String| offset_in(file, ".log").or_else(|| offset_in(file, ".log.renew")).is_some();
    let mut names = BTreeSet::new();
    for name in storage.list(path).map_err(LogError::io("list", path))? {
        let dir = path.join(&name);
        if is_segment(&name) {
            names.insert(String::new());
        } else if !name.ends_with("-stray")
            && !name.ends_with("-delete")
            && storage.is_dir(&dir).map_err(LogError::io("look for", &dir))?
        {
            match storage.list(&dir) {
                Ok(files) if files.iter().any(is_segment) => drop(names.insert(name)),
                Ok(_) => {}
                // No log of ours, such as `lost+found` at the root of a disk.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(LogError::io("list", &dir)(error)),
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// Creates a directory and its missing parents, all of them durable. If that fails none of them stays: the next attempt
/// would find them and take their names for durable, which no later fsync is bound to make them.
fn create_dir_durably(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for dir in path.ancestors() {
        if storage.is_dir(dir)? {
            break;
        }
        missing.push(dir);
    }
    storage.create_dir(path)?;
    let synced = missing.iter().try_for_each(|dir| storage.sync_dir(parent_of(dir)));
    if synced.is_err() {
        // Fails where somebody else has put something in the directory meanwhile, which must stay.
        missing.iter().for_each(|dir| drop(storage.remove(dir)));
    }
    synced
}

/// Makes the names of `path` and of every directory above it durable: any of them may be as new as it is.
fn sync_names_of(storage: &dyn Storage, path: &Path) -> Result<()> {
    let mut dir = path;
    while parent_of(dir) != dir {
        dir = parent_of(dir);
        match storage.sync_dir(dir) {
            // Whoever created something in a directory may read it; this one is older than we are.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            synced => synced.map_err(LogError::io("fsync", dir))?,
        }
    }
    Ok(())
}

/// Reads `meta.properties` and compares it with who is asking, or writes it (Kafka's version 1, KIP-858).
fn identify(
    storage: &dyn Storage,
    path: &Path,
    asked: &Identity,
    clean: bool,
) -> Result<(String, i32, String)> {
    let mismatch = |detail: String| LogError::MetaMismatch { file: path.join(META_PROPERTIES), detail };
    let text = read_file(storage, path, META_PROPERTIES)?;
    let found: BTreeMap<&str, &str> = text
        .as_deref()
        .unwrap_or("")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    if text.is_some() && found.get("version") != Some(&"1") {
        return Err(mismatch(
            "it is not a version 1 meta.properties; restore it or use another directory".into(),
        ));
    }
    let cluster_id = match (found.get("cluster.id"), &asked.cluster_id) {
        (Some(&has), Some(wants)) if has != wants => {
            return Err(mismatch(format!(
                "the directory belongs to cluster {has}, not to {wants}; use that cluster id or another directory"
            )));
        }
        (Some(&has), _) => has.to_string(),
        (None, Some(wants)) => wants.clone(),
        (None, None) => asked.new_cluster_id.clone(),
    };
    let has_node = found.get("node.id").map(|id| id.parse::<i32>());
    let node_id = match (has_node, asked.node_id) {
        (Some(Err(_)), _) => return Err(mismatch("its node.id is not a number; restore the file".into())),
        (Some(Ok(has)), Some(wants)) if has != wants => {
            return Err(mismatch(format!(
                "the directory belongs to node {has}, not to node {wants}; use that node id or another directory"
            )));
        }
        (Some(Ok(has)), _) => has,
        (None, wants) => wants.unwrap_or(0),
    };
    let directory_id = found.get("directory.id").map_or(asked.new_directory_id.clone(), |&id| id.to_string());
    if text.is_none() {
        sync_names_of(storage, path)?;
    }
    let mut complete = text.clone().unwrap_or_default();
    let node = node_id.to_string();
    let entries =
        [("version", "1"), ("cluster.id", &cluster_id), ("node.id", &node), ("directory.id", &directory_id)];
    for (key, value) in entries.into_iter().filter(|(key, _)| !found.contains_key(key)) {
        if !complete.is_empty() && !complete.ends_with('\n') {
            complete.push('\n');
        }
        complete.push_str(&format!("{key}={value}\n"));
    }
    // After an unclean stop it is written anew: the process that wrote it may have ended before its name was durable.
    if !clean || text.as_ref() != Some(&complete) {
        replace_file(storage, path, META_PROPERTIES, complete.as_bytes())?;
    }
    Ok((cluster_id, node_id, directory_id))
}
