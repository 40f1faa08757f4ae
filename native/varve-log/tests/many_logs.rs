//! The failure this guards against: stopping a broker with thousands of idle partitions takes so long that whoever
//! supervises it loses patience and kills it.

mod simulation;

use simulation::{Solo, config};

use varve_log::Durability;
use varve_log::sim::SimStorage;

#[test]
fn a_log_that_nobody_appended_to_closes_without_touching_the_disk() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    solo.append_all(&["one"]);
    solo.close();
    let storage = storage.process_crash();
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    let before = storage.operation_count();
    solo.log.close().unwrap();
    assert_eq!(storage.operation_count(), before);
    solo.directory.close().unwrap();
    let storage = storage.process_crash();
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    assert!(solo.directory.clean_shutdown && solo.log.recovered.is_none(), "it counts as closed cleanly");
    assert_eq!(solo.values(), ["one"]);
}
