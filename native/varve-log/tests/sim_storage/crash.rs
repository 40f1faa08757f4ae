//! A crash that lets a later call through, or that never tears the write it hits, tests a shutdown and not a crash.

use super::*;

#[test]
fn the_nth_operation_and_everything_after_it_fail() {
    let (storage, file) = with_file(b"abc");
    let before = storage.operation_count();
    storage.crash_at(before + 2);
    file.write_at(&[b"d"], 3).unwrap();
    assert!(is_simulated_crash(&file.sync_data().unwrap_err()));
    assert_eq!(storage.operation_count(), before + 2);

    let mut buffer = [0; 1];
    let failed = [
        file.write_at(&[b"e"], 0).err(),
        file.read_at(&mut buffer, 0).err(),
        file.try_read_at(&mut buffer, 0).err(),
        file.sync_data().err(),
        file.set_len(0).err(),
        file.len().err(),
        storage.create_dir(path("/e")).err(),
        storage.list(path("/d")).err(),
        storage.open(path("/d/f"), OpenMode::Read).err(),
        storage.rename(path("/d/f"), path("/d/g")).err(),
        storage.remove(path("/d/f")).err(),
        storage.sync_dir(path("/d")).err(),
        storage.lock(path("/d/.lock")).err(),
        storage.exists(path("/d/f")).err(),
        storage.is_dir(path("/d")).err(),
    ];
    for (call, error) in failed.into_iter().enumerate() {
        assert!(is_simulated_crash(&error.unwrap()), "call {call}");
    }
    assert_eq!(storage.operation_count(), before + 2);
    assert!(!is_simulated_crash(&io::Error::from_raw_os_error(EIO)));
}

#[test]
fn a_crashing_write_is_applied_up_to_any_byte_and_never_durable() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let storage = SimStorage::new(seed);
        let file = create(&storage, "/f", b"");
        storage.sync_dir(path("/")).unwrap();
        storage.crash_at(storage.operation_count() + 1);
        file.write_at(&[b"0123456789"], 0).unwrap_err();
        let left = storage.process_crash().contents(path("/f")).unwrap();
        assert!(b"0123456789".starts_with(&left), "{left:?}");
        assert_eq!(storage.power_loss(Survival::Everything, 0).contents(path("/f")).unwrap(), left);
        assert_eq!(durable(&storage, "/f").unwrap(), b"");
        lengths.insert(left.len());
    }
    assert_eq!(lengths, (0..=10).collect());
}

#[test]
fn a_crashing_sync_syncs_nothing_and_drops_nothing() {
    let (storage, file) = with_file(b"old");
    file.write_at(&[b"new"], 0).unwrap();
    storage.crash_at(storage.operation_count() + 1);
    file.sync_data().unwrap_err();
    assert_eq!(durable(&storage, "/d/f").unwrap(), b"old");
    assert_eq!(storage.power_loss(Survival::Everything, 0).contents(path("/d/f")).unwrap(), b"new");

    let (storage, _file) = with_file(b"f");
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    storage.crash_at(storage.operation_count() + 1);
    storage.sync_dir(path("/d")).unwrap_err();
    assert_eq!(listing(&storage.power_loss(Survival::Nothing, 0), "/d"), ["f"]);
    assert_eq!(listing(&storage.power_loss(Survival::Everything, 0), "/d"), ["g"]);
}

#[test]
fn a_crashing_change_of_a_name_may_or_may_not_have_happened() {
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let storage = SimStorage::new(seed);
        storage.crash_at(1);
        storage.open(path("/f"), OpenMode::Create).err().unwrap();
        seen.insert(listing(&storage.process_crash(), "/"));
        assert!(listing(&storage.power_loss(Survival::Nothing, 0), "/").is_empty());
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_crash_while_creating_nested_directories_leaves_any_of_them() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let storage = SimStorage::new(seed);
        storage.crash_at(1);
        storage.create_dir(path("/a/b/c")).unwrap_err();
        let left = storage.process_crash();
        seen.insert(["/a", "/a/b", "/a/b/c"].map(|directory| left.is_dir(path(directory)).unwrap()));
    }
    let whole_prefixes =
        [[false, false, false], [true, false, false], [true, true, false], [true, true, true]];
    assert_eq!(seen, BTreeSet::from(whole_prefixes));
}

#[test]
fn a_number_that_has_passed_crashes_the_next_operation() {
    let (storage, file) = with_file(b"abc");
    storage.crash_at(1);
    assert_eq!(read(&*file, 0, 3), b"abc");
    assert!(is_simulated_crash(&file.sync_data().unwrap_err()));
}
