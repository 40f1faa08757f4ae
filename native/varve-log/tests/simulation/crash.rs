//! What ends a process, or the machine under it.

use varve_log::sim::{SimStorage, Survival};

/// The numbers of the workloads to try: `VARVE_CRASH_SEEDS` of them, from `VARVE_CRASH_FIRST` on.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("VARVE_CRASH_FIRST").unwrap_or(0);
    first..first + number("VARVE_CRASH_SEEDS").unwrap_or(default)
}

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
