//! What ends a process, or the machine under it.

use varve_log::sim::{SimStorage, Survival};

/// What a crash leaves of the disk.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    Process,
    /// The process, and the page cache was needed for something else since.
    Evicted,
    Power(Survival),
}

pub const CRASHES: [Crash; 6] = [
    Crash::Process,
    Crash::Evicted,
    Crash::Power(Survival::Nothing),
    Crash::Power(Survival::Everything),
    Crash::Power(Survival::Subset),
    Crash::Power(Survival::Torn),
];

/// The disk as a crash leaves it.
pub fn after(storage: &SimStorage, crash: Crash, seed: u64) -> SimStorage {
    match crash {
        Crash::Process => storage.process_crash(),
        Crash::Evicted => {
            let storage = storage.process_crash();
            storage.evict_all();
            storage
        }
        Crash::Power(survival) => storage.power_loss(survival, seed),
    }
}
