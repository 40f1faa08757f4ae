//! A directory on the real disk for one test, removed when the test ends.

#![allow(dead_code, reason = "every test file takes what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_log::{DataDir, DiskStorage, Identity, LogError};

pub struct Scratch(PathBuf);

impl Scratch {
    /// `name` is that of the test, so that tests of one process do not meet.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("varve-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn open_directory(path: &Path) -> Result<Arc<DataDir>, LogError> {
    let identity = Identity {
        new_cluster_id: "cluster".into(),
        new_directory_id: "directory".into(),
        ..Identity::default()
    };
    DataDir::open(Arc::new(DiskStorage), path, &identity)
}
