//! Locks and threads: the standard library's, or under the feature `shuttle` those of a scheduler that a test controls, so
//! that what appenders, flush threads and readers hand to each other can be tried in many orders.

#[cfg(not(feature = "shuttle"))]
pub use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock},
    thread,
};

#[cfg(feature = "shuttle")]
pub use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock},
    thread,
};
