//! A data directory: its lock, its identity, the clean marker and the recovery points of the logs in it.
//!
//! The clean marker says that every log here was closed with everything flushed. It is removed, durably, before the
//! first append can happen, and written only after the last log has closed without a failure; so an unclean stop can
//! never be mistaken for a clean one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::checkpoint::{checkpoint_name, format_offsets, parse_offsets, read_file, replace_file};
use crate::error::{LogError, Result};
use crate::storage::{LockGuard, Storage};

const LOCK_FILE: &str = ".lock";
const CLEAN_MARKER: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
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
    state: Mutex<DirState>,
    /// One writer of the checkpoint file at a time.
    checkpointing: Mutex<()>,
}

struct DirState {
    recovery_points: BTreeMap<String, i64>,
    /// Logs that may hold bytes past their recovery point.
    unclean: BTreeSet<String>,
    lock: Option<LockGuard>,
}

impl DataDir {
    /// Creates what is missing, takes the lock and removes the clean marker.
    pub fn open(storage: Arc<dyn Storage>, path: &Path, identity: &Identity) -> Result<Arc<Self>> {
        let refused =
            |source: io::Error| LogError::NotWritable { dir: path.into(), source: Arc::new(source) };
        if !storage.is_dir(path) {
            storage.create_dir(path).map_err(refused)?;
        }
        let lock = storage.lock(&path.join(LOCK_FILE)).map_err(refused)?;
        let lock = lock.ok_or_else(|| LogError::Locked { dir: path.into() })?;
        let (cluster_id, node_id, directory_id) = identify(storage.as_ref(), path, identity)?;
        let clean_shutdown = storage.exists(&path.join(CLEAN_MARKER));
        let recovery_points = read_file(storage.as_ref(), path, RECOVERY_POINTS)?
            .and_then(|text| parse_offsets(&text))
            .unwrap_or_default();
        let mut unclean = BTreeSet::new();
        if clean_shutdown {
            let marker = path.join(CLEAN_MARKER);
            storage.remove(&marker).map_err(LogError::io("remove", &marker))?;
            storage.sync_dir(path).map_err(LogError::io("fsync", path))?;
        } else {
            unclean.extend(log_names(storage.as_ref(), path)?);
        }
        Ok(Arc::new(Self {
            storage,
            path: path.to_path_buf(),
            cluster_id,
            node_id,
            directory_id,
            clean_shutdown,
            state: Mutex::new(DirState { recovery_points, unclean, lock: Some(lock) }),
            checkpointing: Mutex::new(()),
        }))
    }

    fn state(&self) -> MutexGuard<'_, DirState> {
        self.state.lock().expect("the directory's lock is never held across a panic")
    }

    /// Where the log `name` lives; the empty name is the directory itself.
    pub fn log_dir(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(name) }
    }

    /// Directories that hold a log.
    pub fn logs(&self) -> Result<Vec<String>> {
        log_names(self.storage.as_ref(), &self.path)
    }

    fn key(&self, name: &str) -> String {
        if !name.is_empty() {
            return checkpoint_name(name);
        }
        checkpoint_name(&self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Called when a log opens: its recovery point, and whether nothing can lie behind it. From here on the log counts
    /// as unclean until it is closed.
    pub(crate) fn log_opens(&self, name: &str) -> (Option<i64>, bool) {
        let mut state = self.state();
        // A log that is not on the list was closed cleanly, by the last process or by this one, or is new.
        let clean = state.unclean.insert(name.to_string());
        (state.recovery_points.get(&self.key(name)).copied(), clean)
    }

    /// Called when a log has closed with everything flushed and its recovery point at its end.
    pub(crate) fn log_closed_cleanly(&self, name: &str) {
        self.state().unclean.remove(name);
    }

    /// Makes `offset` the durable recovery point of the log `name`: what lies before it is on disk for good.
    pub(crate) fn checkpoint(&self, name: &str, offset: i64) -> Result<()> {
        let _one_at_a_time = self.checkpointing.lock().expect("never held across a panic");
        let text = {
            let mut state = self.state();
            state.recovery_points.insert(self.key(name), offset);
            format_offsets(&state.recovery_points)
        };
        replace_file(self.storage.as_ref(), &self.path, RECOVERY_POINTS, text.as_bytes())
    }

    /// Writes the clean marker if every log here is clean, and lets go of the lock. Close the logs first.
    pub fn close(&self) -> Result<()> {
        let (clean, lock) = {
            let mut state = self.state();
            (state.unclean.is_empty(), state.lock.take())
        };
        if lock.is_some() && clean {
            let marker = br#"{"version":0,"brokerEpoch":-1}"#;
            replace_file(self.storage.as_ref(), &self.path, CLEAN_MARKER, marker)?;
        }
        Ok(())
    }
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Sub-directories with segments in them, and the directory itself under the empty name when it has some.
fn log_names(storage: &dyn Storage, path: &Path) -> Result<Vec<String>> {
    let list = |dir: &Path| storage.list(dir).map_err(LogError::io("list", dir));
    let is_segment = |file: &String| file.ends_with(".log") || file.ends_with(".log.renew");
    let mut names = Vec::new();
    for name in list(path)? {
        let dir = path.join(&name);
        let set_aside = name.ends_with("-stray") || name.ends_with("-delete");
        if !set_aside && storage.is_dir(&dir) && list(&dir)?.iter().any(is_segment) {
            names.push(name);
        } else if is_segment(&name) && !names.contains(&String::new()) {
            names.push(String::new());
        }
    }
    names.sort();
    Ok(names)
}

/// Reads `meta.properties` and compares it with who is asking, or writes it (Kafka's version 1, KIP-858).
fn identify(storage: &dyn Storage, path: &Path, asked: &Identity) -> Result<(String, i32, String)> {
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
        let parent = parent_of(path);
        storage.sync_dir(parent).map_err(LogError::io("fsync", parent))?;
        let text =
            format!("cluster.id={cluster_id}\ndirectory.id={directory_id}\nnode.id={node_id}\nversion=1\n");
        replace_file(storage, path, META_PROPERTIES, text.as_bytes())?;
    }
    Ok((cluster_id, node_id, directory_id))
}
