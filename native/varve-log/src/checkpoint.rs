//! Small files that are replaced whole: written beside the old one, made durable, renamed, the name made durable.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{LogError, Result};
use crate::storage::{OpenMode, Storage};
use crate::sync::{Mutex, MutexGuard};

/// One offset for each log of a data directory, in a file of it.
pub struct OffsetCheckpoint {
    file: &'static str,
    state: Mutex<Offsets>,
    /// The version that is on disk.
    written: AtomicU64,
}

/// Held by whoever replaces a checkpoint of a data directory: a failed fsync of the directory must not take the name of
/// another one along that somebody else counts on.
#[derive(Default)]
pub struct CheckpointWriter(Mutex<()>);

struct Offsets {
    by_log: BTreeMap<String, i64>,
    /// Counts the changes.
    version: u64,
    /// The logs whose offset on disk is another one, each with the version that it changed with.
    changed: BTreeMap<String, u64>,
}

impl OffsetCheckpoint {
    /// Reads the file; one that is missing or cut off holds nothing. `trusted` says whether its name is known to be
    /// durable: if not, the first change of anything writes it anew.
    pub fn read(storage: &dyn Storage, dir: &Path, file: &'static str, trusted: bool) -> Result<Self> {
        let by_log = read_file(storage, dir, file)?.and_then(|text| parse_offsets(&text)).unwrap_or_default();
        let state = Mutex::new(Offsets { by_log, version: u64::from(!trusted), changed: BTreeMap::new() });
        Ok(Self { file, state, written: AtomicU64::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, Offsets> {
        self.state.lock().expect("never held across a panic")
    }

    pub fn get(&self, log: &str) -> Option<i64> {
        self.state().by_log.get(log).copied()
    }

    /// Takes the offset of a log, or the lack of one, which the next [`OffsetCheckpoint::write`] makes durable.
    pub fn note(&self, log: &str, offset: Option<i64>) {
        let mut state = self.state();
        let before = match offset {
            Some(offset) => state.by_log.insert(log.to_string(), offset),
            None => state.by_log.remove(log),
        };
        if before != offset {
            state.version += 1;
            let version = state.version;
            state.changed.insert(log.to_string(), version);
        }
    }

    /// Whether the disk may hold another offset of the log, or one that is forgotten.
    pub fn differs_on_disk(&self, log: &str) -> bool {
        self.state().changed.contains_key(log)
    }

    /// The same of any log.
    pub fn has_changed(&self) -> bool {
        !self.state().changed.is_empty()
    }

    /// Makes durable what was noted. Calls of several threads share a write.
    pub fn write(&self, writer: &CheckpointWriter, storage: &dyn Storage, dir: &Path) -> Result<()> {
        let wanted = self.state().version;
        let _writing = writer.0.lock().expect("never held across a panic");
        if self.written.load(Ordering::Relaxed) >= wanted {
            return Ok(());
        }
        let (text, version) = {
            let state = self.state();
            (format_offsets(&state.by_log), state.version)
        };
        replace_file(storage, dir, self.file, text.as_bytes())?;
        self.written.store(version, Ordering::Relaxed);
        self.state().changed.retain(|_, changed| *changed > version);
        Ok(())
    }
}

/// Replaces `dir/name`, durably, so that a crash leaves the old content or the new one.
pub fn replace_file(storage: &dyn Storage, dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    replace_name(storage, dir, name, content)?;
    storage.sync_dir(dir).map_err(LogError::io("fsync", dir))
}

/// The same without the fsync that makes the new name durable.
pub fn replace_name(storage: &dyn Storage, dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let (path, tmp) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let file = storage.open(&tmp, OpenMode::Create).map_err(LogError::io("create", &tmp))?;
    file.write_at(&[content], 0).map_err(LogError::io("write", &tmp))?;
    file.sync_data().map_err(LogError::io("fsync", &tmp))?;
    storage.rename(&tmp, &path).map_err(LogError::io("rename", &tmp))
}

/// The content of `dir/name`; `None` when it is not there.
pub fn read_file(storage: &dyn Storage, dir: &Path, name: &str) -> Result<Option<String>> {
    let path = dir.join(name);
    let file = match storage.open(&path, OpenMode::Read) {
        // Only this means that it is not there; a file that cannot be read must not be taken for none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(LogError::io("open", &path))?,
    };
    let mut bytes = vec![0; file.len().map_err(LogError::io("read", &path))? as usize];
    let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
    bytes.truncate(read);
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Offsets by log name, in the text form of Kafka's `OffsetCheckpointFile`: version, count, then
/// `topic partition offset` a line. A log that is not named like a partition has the partition -1, and the directory's
/// own log, whose name is empty, the topic `.` with it: whatever the name, it comes back as itself.
pub fn format_offsets(offsets: &BTreeMap<String, i64>) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (name, offset) in offsets {
        let (topic, partition) = split_name(name);
        text.push_str(&format!("{topic} {partition} {offset}\n"));
    }
    text
}

/// Reads [`format_offsets`]; `None` when the text is not such a file.
pub fn parse_offsets(text: &str) -> Option<BTreeMap<String, i64>> {
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let mut offsets = BTreeMap::new();
    for line in lines.by_ref().take(count) {
        let mut words = line.rsplitn(3, ' ');
        let offset = words.next()?.parse().ok()?;
        let partition: i32 = words.next()?.parse().ok()?;
        let name = match (words.next()?, partition) {
            (OWN_NAME, NO_PARTITION) => String::new(),
            (topic, NO_PARTITION) => topic.to_string(),
            (topic, partition) => format!("{topic}-{partition}"),
        };
        offsets.insert(name, offset);
    }
    (offsets.len() == count).then_some(offsets)
}

const NO_PARTITION: i32 = -1;
/// No log has this name, because no file can.
const OWN_NAME: &str = ".";

/// `<topic>-<partition>` in its two parts, if the name is exactly that.
fn split_name(name: &str) -> (&str, i32) {
    if name.is_empty() {
        return (OWN_NAME, NO_PARTITION);
    }
    name.rsplit_once('-')
        .and_then(|(topic, digits)| Some((topic, digits, digits.parse::<i32>().ok()?)))
        .filter(|(_, digits, partition)| *partition >= 0 && *digits == partition.to_string())
        .map_or((name, NO_PARTITION), |(topic, _, partition)| (topic, partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_what_kafka_writes() {
        let offsets = BTreeMap::from([("orders-0".to_string(), 12), ("my-topic-3".to_string(), 0)]);
        let text = format_offsets(&offsets);
        assert_eq!(text, "0\n2\nmy-topic 3 0\norders 0 12\n");
        assert_eq!(parse_offsets(&text), Some(offsets));
        assert_eq!(
            parse_offsets("0\n1\norders 0 12\n"),
            Some(BTreeMap::from([("orders-0".to_string(), 12)]))
        );
    }

    #[test]
    fn no_two_names_share_an_entry() {
        let names =
            ["", "a", "a-0", "a-00", "a-", "-0", "-", "a--1", "a-0-0", "a b-0", "a b", "a-4294967296"];
        let offsets: BTreeMap<String, i64> = names.iter().map(|name| name.to_string()).zip(1..).collect();
        assert_eq!(parse_offsets(&format_offsets(&offsets)), Some(offsets));
    }

    #[test]
    fn a_file_that_is_cut_off_is_not_believed() {
        assert_eq!(parse_offsets("0\n2\norders 0 12\n"), None);
        assert_eq!(parse_offsets(""), None);
        assert_eq!(parse_offsets("0\n1\norders 0\n"), None);
    }
}
