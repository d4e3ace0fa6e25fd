//! Taking a mutex without a panic. Separate because it states one decision for the crate: a holder that panicked leaves
//! its state as it was between two whole steps, so the others go on instead of failing one after another.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not another holder panicked.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
