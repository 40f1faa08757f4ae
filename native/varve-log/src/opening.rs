//! Opening logs, several at once: what they need of their data directory, new names and recovery points, becomes durable
//! once for all of them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data_dir::{DataDir, Found};
use crate::disk_space::Space;
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::log::{Listener, Log, Phase, State};
use crate::log_config::LogConfig;
use crate::maintenance::Maintenance;
use crate::preallocation::Allocation;
use crate::recovery::{Opened, Opening};
use crate::runner::Runner;
use crate::stats::Stats;
use crate::sync::{Condvar, Mutex, RwLock};

/// A log that is to be opened or created.
pub struct Wanted {
    pub name: String,
    pub config: LogConfig,
    pub listener: Listener,
}

/// One that nobody else can open meanwhile.
struct Begun {
    wanted: Wanted,
    found: Found,
    dir: PathBuf,
}

/// One whose files are there.
struct Read {
    begun: Begun,
    opened: Opened,
}

impl Log {
    /// Opens or creates the log `name` of a data directory, recovering it if need be. Waits for the disk.
    pub fn open(
        directory: Arc<DataDir>,
        name: &str,
        config: LogConfig,
        runner: Arc<dyn Runner>,
        listener: Listener,
    ) -> Result<Arc<Self>> {
        let wanted = Wanted { name: name.to_string(), config, listener };
        Self::open_all(&directory, vec![wanted], &runner, 1).pop().expect("one for one")
    }

    /// The same for several logs, on so many threads. One that cannot be opened is only itself refused, unless it is the
    /// data directory that refuses.
    pub fn open_all(
        directory: &Arc<DataDir>,
        wanted: Vec<Wanted>,
        runner: &Arc<dyn Runner>,
        threads: usize,
    ) -> Vec<Result<Arc<Self>>> {
        let begin = |wanted: Wanted| {
            let found = directory.log_opens(&wanted.name)?;
            let dir = directory.log_dir(&wanted.name);
            Ok(Begun { wanted, found, dir })
        };
        let mut begun: Vec<Result<Begun>> = wanted.into_iter().map(begin).collect();
        forget_predecessors(directory, &mut begun);
        create_directories(directory, &mut begun);
        let read = on_threads(begun, threads, |begun| begun.and_then(|begun| begun.read(directory)));
        for read in read.iter().flatten() {
            if read.opened.corrupt.is_none() {
                directory.note_recovery_point(&read.begun.wanted.name, read.opened.end_offset);
            }
        }
        let written =
            match read.iter().any(|read| read.as_ref().is_ok_and(|read| read.opened.corrupt.is_none())) {
                true => directory.write_recovery_points(),
                false => Ok(()),
            };
        let open = |read: Read| match &written {
            Err(error) if read.opened.corrupt.is_none() => Err(error.clone()),
            _ => read.open(directory, runner),
        };
        read.into_iter().map(|read| read.and_then(open)).collect()
    }
}

impl Begun {
    fn read(self, directory: &DataDir) -> Result<Read> {
        let Found { existed, recovery_point, start_offset, clean, .. } = self.found;
        let config = self.wanted.config.within_limits()?;
        let opening = Opening {
            storage: &directory.storage,
            dir: &self.dir,
            existed,
            recovery_point,
            start_offset,
            clean,
            compacts: config.cleanup_policy.compacts(),
            index_interval_bytes: config.index_interval_bytes,
        };
        let opened = opening.run()?;
        let wanted = Wanted { config, ..self.wanted };
        Ok(Read { begun: Self { wanted, ..self }, opened })
    }
}

/// Makes durable that nothing is known of logs that had their names before.
fn forget_predecessors(directory: &DataDir, begun: &mut [Result<Begun>]) {
    let is_stale = |begun: &Begun| begun.found.is_stale;
    if !begun.iter().flatten().any(is_stale) {
        return;
    }
    if let Err(error) = directory.write_offsets() {
        refuse(begun, is_stale, &error);
    }
}

/// Creates the directories that are not there, and makes them durable with one fsync. If that fails none of them stays: the
/// next attempt would find them and take their names for durable, which no later fsync is bound to make them.
fn create_directories(directory: &DataDir, begun: &mut [Result<Begun>]) {
    let storage = directory.storage.as_ref();
    for place in begun.iter_mut() {
        let Ok(Begun { found: Found { existed: false, .. }, dir, .. }) = place else { continue };
        if let Err(source) = storage.create_dir(dir) {
            *place = Err(LogError::io("create", dir)(source));
        }
    }
    let is_new = |begun: &Begun| !begun.found.existed;
    if !begun.iter().flatten().any(is_new) {
        return;
    }
    if let Err(source) = storage.sync_dir(&directory.path) {
        for begun in begun.iter().flatten().filter(|begun| is_new(begun)) {
            // Fails where somebody else has put something in the directory meanwhile, which must stay.
            drop(storage.remove(&begun.dir));
        }
        refuse(begun, is_new, &LogError::io("fsync", &directory.path)(source));
    }
}

fn refuse(begun: &mut [Result<Begun>], which: impl Fn(&Begun) -> bool, error: &LogError) {
    for place in begun.iter_mut().filter(|place| place.as_ref().is_ok_and(&which)) {
        *place = Err(error.clone());
    }
}

impl Read {
    fn open(self, directory: &Arc<DataDir>, runner: &Arc<dyn Runner>) -> Result<Arc<Log>> {
        let Self { begun: Begun { wanted, found, dir, .. }, mut opened } = self;
        let Wanted { name, config, listener } = wanted;
        opened.producers.remove_expired(runner.wall_clock_ms(), config.producer_id_expiration_ms);
        let active = opened.segments.last().expect("a log has a segment");
        let end =
            Mark { offset: opened.end_offset, segment_base: active.base_offset, position: active.bytes() };
        let start_offset = found.start_offset.clamp(opened.segments[0].base_offset, end.offset);
        let state = State {
            flushed: end,
            seen: end,
            unacknowledged: VecDeque::new(),
            flush_wanted: end.offset,
            flush_running: false,
            unflushed_base: active.base_offset,
            names_dirty: false,
            recovery_point: end.offset,
            opened_at: Some(end.offset),
            maintenance: Maintenance::default(),
            indexed: VecDeque::new(),
            generation: 0,
            truncations: Vec::new(),
            wake_at: None,
            flush_due: None,
            retention_due: None,
            compaction_due: None,
            producers_due: None,
            compaction_failure: None,
            space: Space::default(),
            space_due: None,
            allocation: Allocation::default(),
            preparation: None,
            checkpointing: false,
            checkpoint_due: false,
            flushed_bytes: 0,
            checkpointed_at: runner.now().as_secs(),
            start_offset,
            end_offset: end.offset,
            leader_epoch: opened.epochs.latest().unwrap_or(0),
            epochs_changed: false,
            epochs: opened.epochs,
            producers: opened.producers,
            snapshots: opened.snapshots,
            high_watermark: None,
            phase: opened.corrupt.map_or(Phase::Open, Phase::Failed),
            segments: opened.segments,
            jobs: 0,
            hold: Some(found.hold),
        };
        let log = Arc::new(Log {
            dir,
            config: RwLock::new(Arc::new(config)),
            recovered: opened.recovered,
            directory: directory.clone(),
            name,
            runner: runner.clone(),
            listener,
            state: Mutex::new(state),
            cursors: Mutex::default(),
            stats: Stats::default(),
            names_failed: Mutex::default(),
            idle: Condvar::new(),
        });
        let mut state = log.state();
        log.schedule_retention(&mut state);
        log.schedule_compaction(&mut state);
        log.schedule_producer_expiry(&mut state);
        if config.low_disk_bytes.is_some() {
            log.measured(&mut state, log.measure_space()?);
        }
        drop(state);
        Ok(log)
    }
}

/// Applies `work` to all items, in their order, on so many threads.
fn on_threads<T: Send, U: Send>(items: Vec<T>, threads: usize, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    use std::sync::Mutex;
    let places: Vec<Mutex<(Option<T>, Option<U>)>> =
        items.into_iter().map(|item| Mutex::new((Some(item), None))).collect();
    let next = AtomicUsize::new(0);
    let lane = || {
        while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut place = place.lock().expect("each is taken by one thread");
            place.1 = place.0.take().map(&work);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(places.len()) {
            // Fewer are slower, and that is all.
            drop(std::thread::Builder::new().spawn_scoped(scope, lane));
        }
        lane();
    });
    let done = |place: Mutex<(Option<T>, Option<U>)>| place.into_inner().expect("no thread panicked").1;
    places.into_iter().map(|place| done(place).expect("every item was worked on")).collect()
}
