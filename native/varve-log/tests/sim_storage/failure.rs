//! For years PostgreSQL could lose data because a second fsync after a failed one reports success: the kernel had
//! marked the lost pages clean. An engine that retries must be caught here.

use super::*;

fn fail_next(storage: &SimStorage, errno: i32) {
    storage.fail_at(storage.operation_count() + 1, errno);
}

#[test]
fn only_the_nth_operation_fails_and_with_the_given_error() {
    let (storage, file) = with_file(b"abc");
    let rename = || storage.rename(path("/d/f"), path("/d/g"));
    type Attempt<'a> = &'a dyn Fn() -> io::Result<()>;
    let attempts: [Attempt; 7] = [
        &|| storage.create_dir(path("/e/f")),
        &|| storage.open(path("/d/new"), OpenMode::Create).map(drop),
        &rename,
        &|| storage.remove(path("/d/g")),
        &|| storage.sync_dir(path("/d")),
        &|| file.set_len(1),
        &|| file.sync_data(),
    ];
    for attempt in attempts {
        fail_next(&storage, ENOSPC);
        let before = listing(&storage, "/d");
        assert_eq!(attempt().unwrap_err().raw_os_error(), Some(ENOSPC));
        assert_eq!(listing(&storage, "/d"), before);
        assert!(!storage.exists(path("/e/f")).unwrap());
        attempt().unwrap();
        if storage.exists(path("/e")).unwrap() {
            storage.remove(path("/e/f")).unwrap();
            storage.remove(path("/e")).unwrap();
        }
    }
}

#[test]
fn a_failed_write_is_applied_up_to_any_byte() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let storage = SimStorage::new(seed);
        let file = create(&storage, "/f", b"abc");
        fail_next(&storage, EIO);
        assert_eq!(file.write_at(&[b"01", b"234"], 3).unwrap_err().raw_os_error(), Some(EIO));
        let left = read(&*file, 0, 99);
        assert!(left.starts_with(b"abc") && b"abc01234".starts_with(&left), "{left:?}");
        lengths.insert(left.len());
    }
    assert_eq!(lengths, (3..=8).collect());
}

#[test]
fn a_failed_sync_leaves_the_bytes_readable_and_no_later_sync_brings_them_back() {
    let (storage, file) = with_file(b"old");
    file.write_at(&[b"new, longer"], 0).unwrap();
    fail_next(&storage, EIO);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
    assert_eq!(read(&*file, 0, 99), b"new, longer");
    file.sync_data().unwrap();
    for survival in Survival::ALL {
        for seed in 0..20 {
            let left = storage.power_loss(survival, seed).contents(path("/d/f")).unwrap();
            assert_eq!(left, b"old", "{survival:?}");
        }
    }
}

#[test]
fn after_a_failed_sync_only_what_is_written_again_becomes_durable() {
    let (storage, file) = with_file(b"aaaa");
    file.write_at(&[b"bbbbbbbb"], 0).unwrap();
    fail_next(&storage, EIO);
    file.sync_data().unwrap_err();
    file.write_at(&[b"b"], 1).unwrap();
    file.write_at(&[b"b"], 6).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&*file, 0, 99), b"bbbbbbbb");
    assert_eq!(durable(&storage, "/d/f").unwrap(), b"abaa\0\0b");
}

#[test]
fn a_restart_of_the_process_does_not_bring_back_what_a_failed_sync_lost() {
    let (storage, file) = with_file(b"old");
    file.write_at(&[b"new"], 0).unwrap();
    fail_next(&storage, EIO);
    file.sync_data().unwrap_err();
    let storage = storage.process_crash();
    let file = storage.open(path("/d/f"), OpenMode::ReadWrite).unwrap();
    assert_eq!(read(&*file, 0, 3), b"new");
    file.sync_data().unwrap();
    assert_eq!(
        outcomes(&storage.process_crash(), Survival::Everything),
        BTreeSet::from([Some(b"old".to_vec())])
    );
}

#[test]
fn eviction_after_a_failed_sync_shows_what_the_disk_has() {
    let (storage, file) = with_file(b"old");
    file.write_at(&[b"newer"], 0).unwrap();
    fail_next(&storage, EIO);
    file.sync_data().unwrap_err();
    file.write_at(&[b"x"], 1).unwrap();
    storage.evict(path("/d/f"));
    assert_eq!(read(&*file, 0, 99), b"oxd\0\0");
}

#[test]
fn a_failed_directory_sync_leaves_the_names_visible_and_no_later_sync_brings_them_back() {
    let (storage, _file) = with_file(b"f");
    create(&storage, "/d/g", b"g").sync_data().unwrap();
    storage.rename(path("/d/f"), path("/d/h")).unwrap();
    fail_next(&storage, EIO);
    storage.sync_dir(path("/d")).unwrap_err();
    storage.sync_dir(path("/d")).unwrap();
    assert_eq!(listing(&storage, "/d"), ["g", "h"]);
    assert_eq!(listings(&storage), BTreeSet::from([vec!["f".to_string()]]));
}

#[test]
fn a_name_changed_again_after_a_failed_directory_sync_never_becomes_two() {
    let (storage, _file) = with_file(b"f");
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    fail_next(&storage, EIO);
    storage.sync_dir(path("/d")).unwrap_err();
    storage.rename(path("/d/g"), path("/d/h")).unwrap();
    storage.sync_dir(path("/d")).unwrap();
    assert_eq!(listings(&storage), BTreeSet::from([vec!["h".to_string()]]));
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (storage, file) = with_file(b"0123");
    let other = create(&storage, "/d/g", b"abc");
    storage.set_capacity(Some(10));
    let error = file.write_at(&[b"4567", b"89"], 4).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(ENOSPC));
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(read(&*file, 0, 99), b"0123456");
    file.write_at(&[b"x"], 0).unwrap();
    assert_eq!(other.set_len(4).unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(storage.operations().last().unwrap().kind, OperationKind::SetLen { bytes: 4 });

    storage.remove(path("/d/g")).unwrap();
    file.write_at(&[b"7"], 7).unwrap_err();
    drop(other);
    file.write_at(&[b"7"], 7).unwrap();
    file.set_len(2).unwrap();
    file.write_at(&[b"23456789"], 2).unwrap();
    let restarted = storage.process_crash();
    let file = restarted.open(path("/d/f"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[b"x"], 10).unwrap_err();
    restarted.set_capacity(None);
    file.write_at(&[b"x"], 10).unwrap();
}

#[test]
fn a_name_removed_again_after_a_failed_directory_sync_is_gone_whatever_it_named_before() {
    let (storage, _file) = with_file(b"f");
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    create(&storage, "/d/f", b"");
    fail_next(&storage, EIO);
    storage.sync_dir(path("/d")).unwrap_err();
    assert_eq!(durable(&storage, "/d/f").unwrap(), b"f");
    storage.remove(path("/d/f")).unwrap();
    storage.sync_dir(path("/d")).unwrap();
    assert_eq!(durable(&storage, "/d/f"), None);
}

#[test]
fn the_disk_is_as_large_after_a_restart_and_removed_files_no_longer_fill_it() {
    let (storage, _file) = with_file(b"0123");
    storage.set_capacity(Some(6));
    storage.remove(path("/d/f")).unwrap();
    for restarted in [storage.process_crash(), storage.power_loss(Survival::Everything, 0)] {
        let file = create(&restarted, "/d/g", b"012345");
        assert_eq!(file.write_at(&[b"6"], 6).unwrap_err().raw_os_error(), Some(ENOSPC));
    }
}
