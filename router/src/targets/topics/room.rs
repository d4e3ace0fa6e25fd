//! Room for the bytes of publishes that are under way, from the first byte of their bodies until they are kept. One budget
//! for the node: many publishers at once are told to come back before memory is what runs out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::path::outcome::{Failure, Reason};

/// The node's budget: 64 MiB hold 64 batches of the largest size, and tens of thousands of common events.
const PUBLISHING_KIB: usize = 64 * 1024;

/// The budget.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

/// A part of it, for whatever it is kept with; free again when that is gone.
pub(super) type Held = Arc<OwnedSemaphorePermit>;

impl Default for Room {
    fn default() -> Self {
        Self::of(PUBLISHING_KIB)
    }
}

impl Room {
    fn of(kib: usize) -> Self {
        Self(Arc::new(Semaphore::new(kib)))
    }

    /// Room for so many bytes. Nobody waits for it: who waits holds a connection, and may as well come back.
    ///
    /// # Errors
    /// `LOG_UNAVAILABLE` while there is none.
    pub(super) fn take(&self, bytes: usize) -> Result<Held, Failure> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let taken = self.0.clone().try_acquire_many_owned(kib);
        taken.map(Arc::new).map_err(|_| {
            Failure::hidden(
                Reason::LogUnavailable,
                "more events are on their way into topics than the node holds at once",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_when_something_is_kept() {
        let room = Room::of(4);
        let one = room.take(2 * 1024).expect("room");
        let refused = room.take(2 * 1024).expect_err("3 of 4 KiB are taken");
        assert_eq!((refused.reason, refused.reason.status().as_u16()), (Reason::LogUnavailable, 503));
        let small = room.take(1).expect("room");
        let kept_elsewhere = one.clone();
        drop((one, small));
        assert!(room.take(3 * 1024).is_err());
        drop(kept_elsewhere);
        assert!(room.take(3 * 1024).is_ok());
        assert!(room.take(usize::MAX).is_err());
    }
}
