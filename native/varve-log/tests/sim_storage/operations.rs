//! Crash points are found by counting: an operation that is not counted is one at which no test ever crashes.

use super::*;

#[test]
fn everything_that_changes_or_syncs_is_counted_and_nothing_else() {
    let storage = SimStorage::new(1);
    storage.create_dir(path("/d/e")).unwrap();
    storage.create_dir(path("/d")).unwrap();
    let file = storage.open(path("/d/f"), OpenMode::Create).unwrap();
    file.write_at(&[b"ab", b"c"], 7).unwrap();
    file.set_len(4).unwrap();
    file.sync_data().unwrap();
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    file.sync_data().unwrap();
    storage.sync_dir(path("/d")).unwrap();
    drop(storage.lock(path("/d/.lock")).unwrap());
    drop(storage.lock(path("/d/.lock")).unwrap());
    storage.remove(path("/d/g")).unwrap();
    storage.open(path("/d/.lock"), OpenMode::ReadWrite).unwrap();
    assert!(storage.remove(path("/d/g")).is_err());
    assert!(storage.exists(path("/d")).unwrap() && storage.is_dir(path("/d")).unwrap());
    assert!(
        read(&*file, 0, 9) == b"\0\0\0\0" && file.len().unwrap() == 4 && !listing(&storage, "/d").is_empty()
    );

    let shown: Vec<String> = storage.operations().iter().map(ToString::to_string).collect();
    let expected = [
        "1: create directory /d/e",
        "2: create /d/f",
        "3: write 3 bytes at 7 of /d/f",
        "4: set length of /d/f to 4",
        "5: sync /d/f",
        "6: rename /d/f to /d/g",
        "7: sync /d/g",
        "8: sync directory /d",
        "9: create /d/.lock",
        "10: remove /d/g",
    ];
    assert_eq!(shown, expected);
    assert_eq!(storage.operation_count(), 10);
    assert_eq!(storage.operations()[2].kind, OperationKind::Write { position: 7, bytes: 3 });
}

#[test]
fn a_restart_counts_and_fails_anew() {
    let (storage, _file) = with_file(b"abc");
    storage.crash_at(99);
    storage.fail_at(1, EIO);
    for restarted in [storage.power_loss(Survival::Everything, 1), storage.process_crash()] {
        assert_eq!(restarted.operation_count(), 0);
        create(&restarted, "/d/g", b"x");
        assert_eq!(restarted.operations()[0].number, 1);
    }
}
