//! The files that keep what was taken out of a log: `<offset>.cut`, `<offset>.1.cut` and so on.

use std::path::{Path, PathBuf};

use crate::error::{LogError, Result};
use crate::storage::Storage;

/// A name that is not taken: what was taken out at the same offset earlier is kept as well.
pub(crate) fn free_cut_path(storage: &dyn Storage, dir: &Path, offset: i64) -> Result<PathBuf> {
    let mut path = dir.join(format!("{offset:020}.cut"));
    let mut number = 0;
    while storage.exists(&path).map_err(LogError::io("look for", &path))? {
        number += 1;
        path = dir.join(format!("{offset:020}.{number}.cut"));
    }
    Ok(path)
}
