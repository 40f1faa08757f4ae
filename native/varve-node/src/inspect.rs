use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use varve_log::inspect::{Finding, FindingKind, InspectedSegment, Inspection, Progress, inspect};
use varve_log::log_names;
use varve_log::repair::Repaired;

use crate::directory::ListLogs;
use crate::failure::task;
use crate::fault::storage;

/// How far an inspection is.
#[napi]
pub struct NativeProgress {
    pub(crate) inner: Arc<Progress>,
}

#[napi]
impl NativeProgress {
    #[napi(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes them")]
    pub fn new() -> Self {
        Self { inner: Arc::default() }
    }

    /// Bytes of segments that have been looked at.
    #[napi(getter, catch_unwind)]
    pub fn done(&self) -> f64 {
        self.inner.done.load(Ordering::Relaxed) as f64
    }

    /// Of so many.
    #[napi(getter, catch_unwind)]
    pub fn total(&self) -> f64 {
        self.inner.total.load(Ordering::Relaxed) as f64
    }
}

#[napi(object)]
pub struct NativeFinding {
    pub kind: String,
    pub is_problem: bool,
    pub is_repairable: bool,
    pub file: String,
    pub position: f64,
    pub bytes: f64,
    pub from_offset: f64,
    pub to_offset: f64,
    pub detail: String,
}

#[napi(object)]
pub struct NativeSegment {
    pub base_offset: f64,
    pub end_offset: f64,
    pub bytes: f64,
    pub batches: f64,
    pub records: f64,
    pub control_batches: f64,
    pub transactional_batches: f64,
    /// Batches by the number of their codec: none, gzip, snappy, lz4, zstd, and any other.
    pub codecs: Vec<f64>,
    pub first_timestamp: Option<f64>,
    pub max_timestamp: Option<f64>,
    pub index_entries: Option<f64>,
    pub time_index_entries: Option<f64>,
}

#[napi(object)]
pub struct NativeEpochStart {
    pub epoch: i32,
    pub start_offset: f64,
}

#[napi(object)]
pub struct NativeSnapshot {
    pub offset: f64,
    /// Nothing for one that cannot be read.
    pub producers: Option<u32>,
}

#[napi(object)]
pub struct NativeCutFile {
    pub name: String,
    pub bytes: f64,
}

#[napi(object)]
pub struct NativeInspection {
    pub recovery_point: Option<f64>,
    pub start_offset: f64,
    pub end_offset: f64,
    pub clean: bool,
    pub segments: Vec<NativeSegment>,
    pub leader_epochs: Vec<NativeEpochStart>,
    pub snapshots: Vec<NativeSnapshot>,
    pub cut_files: Vec<NativeCutFile>,
    pub findings: Vec<NativeFinding>,
}

#[napi(object)]
pub struct NativeRepaired {
    pub finding: NativeFinding,
    /// Where the damaged bytes are now.
    pub kept_aside: Option<String>,
}

task!(Inspect, Inspection, NativeInspection, NativeInspection::from);
task!(Repair, Vec<Repaired>, Vec<NativeRepaired>, |repaired: Vec<Repaired>| {
    repaired.into_iter().map(NativeRepaired::from).collect::<Vec<_>>()
});

/// Looks a log over without a lock and without a change; the empty name is the directory itself.
#[napi(catch_unwind)]
pub fn inspect_log(path: String, name: String, progress: &NativeProgress) -> AsyncTask<Inspect> {
    let progress = progress.inner.clone();
    AsyncTask::new(Inspect(Box::new(move || inspect(&storage()?, &PathBuf::from(path), &name, &progress))))
}

/// Names of the logs in a directory, without its lock; the empty name for the directory itself.
#[napi(catch_unwind)]
pub fn logs_in(path: String) -> AsyncTask<ListLogs> {
    AsyncTask::new(ListLogs(Box::new(move || log_names(&*storage()?, &PathBuf::from(path)))))
}

impl From<Inspection> for NativeInspection {
    fn from(found: Inspection) -> Self {
        let epoch = |(epoch, start): (i32, i64)| NativeEpochStart { epoch, start_offset: start as f64 };
        let snapshot = |(offset, producers): (i64, Option<usize>)| NativeSnapshot {
            offset: offset as f64,
            producers: producers.map(|count| count as u32),
        };
        let cut_file = |(name, bytes): (String, u64)| NativeCutFile { name, bytes: bytes as f64 };
        Self {
            recovery_point: found.recovery_point.map(|offset| offset as f64),
            start_offset: found.start_offset as f64,
            end_offset: found.end_offset as f64,
            clean: found.clean,
            segments: found.segments.into_iter().map(NativeSegment::from).collect(),
            leader_epochs: found.leader_epochs.into_iter().map(epoch).collect(),
            snapshots: found.snapshots.into_iter().map(snapshot).collect(),
            cut_files: found.cut_files.into_iter().map(cut_file).collect(),
            findings: found.findings.into_iter().map(NativeFinding::from).collect(),
        }
    }
}

impl From<InspectedSegment> for NativeSegment {
    fn from(segment: InspectedSegment) -> Self {
        Self {
            base_offset: segment.base_offset as f64,
            end_offset: segment.end_offset as f64,
            bytes: segment.bytes as f64,
            batches: segment.batches as f64,
            records: segment.records as f64,
            control_batches: segment.control_batches as f64,
            transactional_batches: segment.transactional_batches as f64,
            codecs: segment.codecs.iter().map(|&count| count as f64).collect(),
            first_timestamp: segment.first_timestamp.map(|timestamp| timestamp as f64),
            max_timestamp: segment.max_timestamp.map(|timestamp| timestamp as f64),
            index_entries: segment.index_entries.map(|count| count as f64),
            time_index_entries: segment.time_index_entries.map(|count| count as f64),
        }
    }
}

impl From<Finding> for NativeFinding {
    fn from(finding: Finding) -> Self {
        let kind = match finding.kind {
            FindingKind::DamagedBatches => "damaged-batches",
            FindingKind::TornTail => "torn-tail",
            FindingKind::MissingOffsets => "missing-offsets",
            FindingKind::OldFormat => "old-format",
            FindingKind::WrongIndex => "wrong-index",
            FindingKind::WrongEpochs => "wrong-epochs",
            FindingKind::WrongSnapshot => "wrong-snapshot",
        };
        Self {
            kind: kind.into(),
            is_problem: finding.is_problem,
            is_repairable: finding.is_repairable,
            file: finding.file.to_string_lossy().into_owned(),
            position: finding.position as f64,
            bytes: finding.bytes as f64,
            from_offset: finding.offsets.0 as f64,
            to_offset: finding.offsets.1 as f64,
            detail: finding.detail,
        }
    }
}

impl From<Repaired> for NativeRepaired {
    fn from(repaired: Repaired) -> Self {
        let kept_aside = repaired.kept_aside.map(|path| path.to_string_lossy().into_owned());
        Self { finding: repaired.finding.into(), kept_aside }
    }
}
