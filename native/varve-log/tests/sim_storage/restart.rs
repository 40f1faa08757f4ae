//! Data that only the page cache holds survives a killed process and not a cut cable; a test that confuses the two
//! proves nothing about either.

use super::*;

#[test]
fn a_process_crash_keeps_the_live_image_and_leaves_it_pending() {
    let (storage, file) = with_file(b"old");
    file.write_at(&[b"newer"], 0).unwrap();
    create(&storage, "/d/g", b"g");
    let restarted = storage.process_crash();
    assert_eq!(restarted.contents(path("/d/f")).unwrap(), b"newer");
    assert_eq!(listing(&restarted, "/d"), ["f", "g"]);
    assert_eq!(listing(&restarted.power_loss(Survival::Nothing, 0), "/d"), ["f"]);
    assert_eq!(durable(&restarted, "/d/f").unwrap(), b"old");

    let restarted = storage.process_crash();
    restarted.open(path("/d/f"), OpenMode::Read).unwrap().sync_data().unwrap();
    restarted.sync_dir(path("/d")).unwrap();
    assert_eq!(durable(&restarted, "/d/f").unwrap(), b"newer");
    assert_eq!(durable(&restarted, "/d/g").unwrap(), b"");
}

#[test]
fn a_removed_file_that_was_still_open_is_gone_after_a_process_crash_unless_a_power_loss_returns_it() {
    let (storage, file) = with_file(b"abc");
    storage.remove(path("/d/f")).unwrap();
    assert_eq!(read(&*file, 0, 9), b"abc");
    let restarted = storage.process_crash();
    assert!(!restarted.exists(path("/d/f")).unwrap());
    assert_eq!(durable(&restarted, "/d/f").unwrap(), b"abc");
}

#[test]
fn old_handles_fail_and_cannot_reach_the_new_storage() {
    for power_loss in [false, true] {
        let (storage, file) = with_file(b"abc");
        let restarted =
            if power_loss { storage.power_loss(Survival::Nothing, 0) } else { storage.process_crash() };
        assert!(is_simulated_crash(&file.write_at(&[b"x"], 0).unwrap_err()));
        assert!(is_simulated_crash(&file.read_at(&mut [0], 0).unwrap_err()));
        assert!(is_simulated_crash(&storage.sync_dir(path("/d")).unwrap_err()));
        assert_eq!(restarted.contents(path("/d/f")).unwrap(), b"abc");
    }
}

#[test]
fn a_fork_looks_at_a_crash_without_causing_one() {
    let (storage, file) = with_file(b"old");
    file.write_at(&[b"new"], 0).unwrap();
    let fork = storage.fork();
    assert_eq!(durable(&fork, "/d/f").unwrap(), b"old");
    assert_eq!(fork.power_loss(Survival::Everything, 0).contents(path("/d/f")).unwrap(), b"new");
    file.sync_data().unwrap();
    storage.remove(path("/d/f")).unwrap();
    assert_eq!(fork.contents(path("/d/f")).unwrap(), b"new");
    assert_eq!(durable(&fork, "/d/f").unwrap(), b"old");
}
