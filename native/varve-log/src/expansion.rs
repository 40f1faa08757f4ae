//! Batches that expand to much more than they are.

use std::sync::{Mutex, PoisonError};

use varve_records::{BatchError, MAX_DECOMPRESSED_BYTES};

/// As far as threads expand batches beside each other.
const SHARED_BYTES: usize = 16 << 20;
/// Not one of [`crate::sync`]: nothing is handed over under it, and nobody holds it and waits.
static TURN: Mutex<()> = Mutex::new(());

/// Does something with a batch, whose records may expand to so many bytes. What expands further than a few has its turn, so
/// that all the threads of a process together hold little more than one such batch, whatever a megabyte of each may expand to.
/// `expand` is called again where it was too much.
pub(crate) fn expand_in_turn<T>(
    mut expand: impl FnMut(usize) -> Result<T, BatchError>,
) -> Result<T, BatchError> {
    match expand(SHARED_BYTES) {
        // It may only have been too much for that.
        Err(BatchError::Invalid(_)) => {
            let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            expand(MAX_DECOMPRESSED_BYTES)
        }
        done => done,
    }
}
