//! The failure this guards against: a broker starts on the directory of another one, on one whose stop it misjudges,
//! or refuses one for what is no business of its own.

mod simulation;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use simulation::{DATA, SimRunner, Solo, batch_of, config, edit};
use varve_log::sim::{SimStorage, Survival};
use varve_log::storage::{File, LockGuard, OpenMode, Storage};
use varve_log::{DataDir, Durability, Identity, Log, LogError, Phase};

const META: &str = "/srv/data/meta.properties";
const MARKER: &str = "/srv/data/.kafka_cleanshutdown";

fn ask(cluster_id: Option<&str>, node_id: Option<i32>) -> Identity {
    Identity {
        cluster_id: cluster_id.map(Into::into),
        node_id,
        new_cluster_id: "new-cluster".into(),
        new_directory_id: "new-directory".into(),
    }
}

fn open_as(storage: &SimStorage, identity: &Identity) -> Result<Arc<DataDir>, LogError> {
    DataDir::open(Arc::new(storage.clone()), Path::new(DATA), identity)
}

fn open(storage: &SimStorage) -> Arc<DataDir> {
    open_as(storage, &ask(None, None)).unwrap()
}

fn open_log(directory: &Arc<DataDir>, name: &str) -> Result<Arc<Log>, LogError> {
    let runner = Arc::new(SimRunner::default());
    Log::open(directory.clone(), name, config(Durability::Fsync), runner, Box::new(|_| {}))
}

fn meta(storage: &SimStorage) -> String {
    String::from_utf8(storage.contents(Path::new(META)).unwrap()).unwrap()
}

#[test]
fn a_new_directory_gets_its_ids_once() {
    let storage = SimStorage::new(1);
    let first = open_as(&storage, &ask(Some("ours"), Some(3))).unwrap();
    assert_eq!((&*first.cluster_id, first.node_id, &*first.directory_id), ("ours", 3, "new-directory"));
    assert_eq!(meta(&storage), "version=1\ncluster.id=ours\nnode.id=3\ndirectory.id=new-directory\n");
    assert!(!first.clean_shutdown);
    first.close().unwrap();
    let storage = storage.power_loss(Survival::Nothing, 1);
    let later = Identity { new_directory_id: "another".into(), ..ask(None, None) };
    let again = open_as(&storage, &later).unwrap();
    assert_eq!((&*again.cluster_id, again.node_id, &*again.directory_id), ("ours", 3, "new-directory"));
    assert!(again.clean_shutdown);
}

#[test]
fn the_directory_of_another_cluster_or_node_is_refused_untouched() {
    let storage = SimStorage::new(1);
    open_as(&storage, &ask(Some("ours"), Some(3))).unwrap().close().unwrap();
    let before = storage.operation_count();
    for (identity, told) in [
        (ask(Some("theirs"), None), "cluster ours, not to theirs"),
        (ask(None, Some(4)), "node 3, not to node 4"),
    ] {
        let error = open_as(&storage, &identity).err().unwrap();
        assert_eq!(error.code(), "VARVE_META_MISMATCH");
        assert!(error.to_string().contains(told) && error.to_string().contains(META), "{error}");
    }
    assert_eq!(storage.operation_count(), before);
    open_as(&storage, &ask(Some("ours"), Some(3))).unwrap();
}

#[test]
fn meta_properties_of_another_kind_are_refused() {
    for (text, told) in [
        ("version=0\nbroker.id=1\n", "not a version 1"),
        ("", "not a version 1"),
        ("version=1\nnode.id=one\ncluster.id=c\n", "node.id is not a number"),
    ] {
        let storage = SimStorage::new(1);
        storage.create_dir(Path::new(DATA)).unwrap();
        edit(&storage, Path::new(META), |bytes| *bytes = text.into());
        let error = open_as(&storage, &ask(None, None)).err().unwrap();
        assert_eq!(error.code(), "VARVE_META_MISMATCH");
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(meta(&storage), text, "left as it was");
    }
}

#[test]
fn what_kafka_wrote_is_kept_and_completed() {
    let storage = SimStorage::new(1);
    storage.create_dir(Path::new(DATA)).unwrap();
    let text = "#\n#Mon Nov 23 16:43:23 UTC 2026\nnode.id=1\nversion=1\ncluster.id=theirs";
    edit(&storage, Path::new(META), |bytes| *bytes = text.into());
    let directory = open(&storage);
    assert_eq!((&*directory.cluster_id, directory.node_id), ("theirs", 1));
    assert_eq!(meta(&storage), format!("{text}\ndirectory.id=new-directory\n"));
}

#[test]
fn the_clean_marker_says_that_every_log_was_closed() {
    let storage = SimStorage::new(1);
    let directory = open(&storage);
    let (a, b) = (open_log(&directory, "a").unwrap(), open_log(&directory, "b").unwrap());
    a.close().unwrap();
    directory.close().unwrap();
    assert!(!storage.exists(Path::new(MARKER)).unwrap(), "b may hold what is not flushed");
    b.close().unwrap();

    let directory = open(&storage);
    assert!(!directory.clean_shutdown);
    for name in ["a", "b"] {
        open_log(&directory, name).unwrap().close().unwrap();
    }
    directory.close().unwrap();
    assert!(storage.exists(Path::new(MARKER)).unwrap());

    let directory = open(&storage);
    assert!(directory.clean_shutdown);
    let storage = storage.power_loss(Survival::Nothing, 1);
    assert!(!storage.exists(Path::new(MARKER)).unwrap(), "removed for good before anything can be appended");
    drop(directory);
}

/// A log that was not opened after a crash has not been recovered; a marker would let the next start trust it.
#[test]
fn a_log_that_nobody_opened_after_a_crash_keeps_the_directory_unclean() {
    let storage = SimStorage::new(1);
    let directory = open(&storage);
    open_log(&directory, "a").unwrap();
    let storage = storage.process_crash();
    for _ in 0..2 {
        let directory = open(&storage);
        assert!(!directory.clean_shutdown);
        directory.close().unwrap();
    }
    let directory = open(&storage);
    open_log(&directory, "a").unwrap().close().unwrap();
    directory.close().unwrap();
    assert!(open(&storage).clean_shutdown);
}

fn open_solo(directory: &Arc<DataDir>) -> Solo {
    let runner = Arc::new(SimRunner::default());
    let log = Log::open(directory.clone(), "a", config(Durability::Fsync), runner.clone(), Box::new(|_| {}));
    Solo { directory: directory.clone(), log: log.unwrap(), runner }
}

/// A log of four records, the first three of which are deleted, and where it lives.
fn log_with_deleted_records(directory: &Arc<DataDir>) -> (Solo, PathBuf) {
    let solo = open_solo(directory);
    solo.append_all(&["one", "two", "three", "four"]);
    assert_eq!(solo.answer(|log, answer| log.delete_before(3, answer)).unwrap(), 3);
    solo.drain();
    (solo, Path::new(DATA).join("a"))
}

fn remove_durably(storage: &SimStorage, dir: &Path) {
    for name in storage.list(dir).unwrap() {
        storage.remove(&dir.join(name)).unwrap();
    }
    storage.remove(dir).unwrap();
    storage.sync_dir(Path::new(DATA)).unwrap();
}

#[test]
fn a_log_that_was_discarded_leaves_no_offsets_to_its_successor() {
    let storage = SimStorage::new(1);
    let directory = open(&storage);
    let (solo, dir) = log_with_deleted_records(&directory);
    solo.log.discard();
    remove_durably(&storage, &dir);
    let successor = open_solo(&directory);
    successor.append_all(&["new"]);
    successor.log.close().unwrap();
    directory.close().unwrap();
    let successor = open_log(&open(&storage), "a").unwrap();
    assert_eq!((successor.start_offset(), successor.end_offset()), (0, 1));
}

#[test]
fn a_power_loss_while_a_successor_is_created_leaves_a_log_that_opens() {
    let mut operations = 1;
    loop {
        let storage = SimStorage::new(1);
        let directory = open(&storage);
        let (solo, dir) = log_with_deleted_records(&directory);
        solo.log.discard();
        remove_durably(&storage, &dir);
        storage.crash_at(storage.operation_count() + operations);
        let crashed = open_log(&directory, "a").is_err();
        for survival in [Survival::Nothing, Survival::Everything] {
            let storage = storage.power_loss(survival, 1);
            let opened = open_log(&open(&storage), "a").unwrap();
            assert!(matches!(opened.phase(), Phase::Open), "operation {operations}: {:?}", opened.phase());
            assert_eq!((opened.start_offset(), opened.end_offset()), (0, 0), "operation {operations}");
        }
        if !crashed {
            break;
        }
        operations += 1;
    }
    assert!(operations > 10, "{operations}");
}

#[test]
fn what_was_forgotten_and_could_not_be_written_is_forgotten_again() {
    let storage = SimStorage::new(1);
    let directory = open(&storage);
    let (solo, dir) = log_with_deleted_records(&directory);
    solo.log.close().unwrap();
    remove_durably(&storage, &dir);
    storage.fail_at(storage.operation_count() + 1, 28);
    assert!(open_log(&directory, "a").is_err());
    let successor = open_solo(&directory);
    successor.append_all(&["new"]);
    successor.log.close().unwrap();
    let successor = open_log(&open(&storage.process_crash()), "a").unwrap();
    assert_eq!((successor.start_offset(), successor.end_offset()), (0, 1));
}

#[test]
fn logs_are_the_directories_with_segments() {
    let storage = SimStorage::new(1);
    let directory = open(&storage);
    for name in ["orders-0", "audit.log", "a b"] {
        open_log(&directory, name).unwrap().close().unwrap();
    }
    for (name, file) in [("gone-0.abc-delete", "00000000000000000000.log"), ("notes", "a.log"), ("empty", "")]
    {
        let path = Path::new(DATA).join(name);
        storage.create_dir(&path).unwrap();
        if !file.is_empty() {
            storage.open(&path.join(file), OpenMode::Create).unwrap();
        }
    }
    assert_eq!(directory.logs().unwrap(), ["a b", "audit.log", "orders-0"]);
    open_log(&directory, "").unwrap().close().unwrap();
    assert_eq!(directory.logs().unwrap(), ["", "a b", "audit.log", "orders-0"]);
}

#[test]
fn a_name_that_is_no_name_is_refused() {
    let storage = SimStorage::new(1);
    let directory = open(&storage);
    for name in [".", "..", "a/b", "/a", "a/", "../a", "two\nlines"] {
        let error = open_log(&directory, name).err().unwrap();
        assert_eq!(error.code(), "VARVE_IO", "{name:?}");
        assert!(error.to_string().contains("name"), "{error}");
    }
}

/// `lost+found` at the root of a disk belongs to root.
#[test]
fn a_directory_that_cannot_be_listed_is_no_log() {
    let sim = SimStorage::new(1);
    sim.create_dir(Path::new("/srv/data/lost+found")).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Forbidding(sim));
    let directory = DataDir::open(storage, Path::new(DATA), &ask(None, None)).unwrap();
    assert_eq!(directory.logs().unwrap(), [""; 0]);
}

/// The names of new directories are as durable as what is in them, however deep.
#[test]
fn every_directory_on_the_way_is_durable_before_the_first_append() {
    let storage = SimStorage::new(1);
    let path = Path::new("/one/two/three");
    let directory = DataDir::open(Arc::new(storage.clone()), path, &ask(None, None)).unwrap();
    let runner = Arc::new(SimRunner::default());
    let log = Log::open(directory, "", config(Durability::Fsync), runner.clone(), Box::new(|_| {})).unwrap();
    log.append(&mut [&mut batch_of(0, &[b"x"])]).results.pop().unwrap().unwrap();
    runner.execute();
    runner.publish();
    assert_eq!(log.durable_offset(), 1);
    let storage = storage.power_loss(Survival::Nothing, 1);
    let directory = DataDir::open(Arc::new(storage.clone()), path, &ask(None, None)).unwrap();
    assert_eq!(open_log(&directory, "").unwrap().end_offset(), 1);
}

struct Forbidding(SimStorage);

impl Storage for Forbidding {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        if path.ends_with("lost+found") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.list(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.0.is_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.0.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.0.lock(path)
    }
}
