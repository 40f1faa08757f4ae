//! A lock left behind by a crashed process would keep the log closed for ever; one released too early would let two
//! processes write it.

use super::*;

#[test]
fn a_lock_is_exclusive_until_it_is_dropped() {
    let storage = with_directory();
    let held = storage.lock(path("/d/.lock")).unwrap();
    assert!(held.is_some() && storage.exists(path("/d/.lock")).unwrap());
    assert!(storage.clone().lock(path("/d/.lock")).unwrap().is_none());
    assert!(storage.lock(path("/d/other")).unwrap().is_some());
    drop(held);
    assert!(storage.lock(path("/d/.lock")).unwrap().is_some());
}

#[test]
fn a_restart_releases_locks_and_an_old_guard_cannot_release_a_new_lock() {
    let storage = with_directory();
    let old = storage.lock(path("/d/.lock")).unwrap();
    for restarted in [storage.process_crash(), storage.power_loss(Survival::Everything, 0)] {
        let held = restarted.lock(path("/d/.lock")).unwrap();
        assert!(held.is_some());
        assert!(restarted.lock(path("/d/.lock")).unwrap().is_none());
    }
    let restarted = storage.process_crash();
    let held = restarted.lock(path("/d/.lock")).unwrap();
    drop(old);
    assert!(held.is_some() && restarted.lock(path("/d/.lock")).unwrap().is_none());
}
