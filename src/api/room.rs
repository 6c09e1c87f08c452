//! How many connections there may be at a time, and who makes way when there are too many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};

/// Places for connections. One whose request is not complete has to make way for one that comes when all are taken: it may
/// never be.
#[derive(Debug)]
pub(super) struct ConnectionRoom {
    places: Arc<Semaphore>,
    size: u32,
    receiving: Mutex<Receiving>,
}

/// Connections whose first request is not complete, the oldest first.
#[derive(Debug, Default)]
struct Receiving {
    last: u64,
    all: BTreeMap<u64, Arc<Notify>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    _permit: OwnedSemaphorePermit,
    room: Arc<ConnectionRoom>,
    number: u64,
    makes_way: Arc<Notify>,
}

impl ConnectionRoom {
    pub(super) fn new(size: usize) -> Arc<Self> {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let places = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX)));
        Arc::new(Self { places, size, receiving: Mutex::default() })
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// The room is closed; it never is.
    pub(super) async fn place(self: &Arc<Self>) -> Result<ConnectionPlace, AcquireError> {
        let permit = Arc::clone(&self.places).acquire_owned().await?;
        let mut receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        receiving.last += 1;
        let (number, makes_way) = (receiving.last, Arc::new(Notify::new()));
        receiving.all.insert(number, Arc::clone(&makes_way));
        Ok(ConnectionPlace { _permit: permit, room: Arc::clone(self), number, makes_way })
    }

    /// Somebody has come: if that one has taken the last place, the oldest that is still being received makes way for the next.
    pub(super) fn make_way(&self) {
        if self.places.available_permits() == 0 {
            let receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
            // Not the newest: it has just come.
            if receiving.all.len() > 1
                && let Some(oldest) = receiving.all.values().next()
            {
                oldest.notify_one();
            }
        }
    }

    /// Waits until nobody is left.
    pub(super) async fn emptied(&self) {
        let _ = self.places.acquire_many(self.size).await;
    }
}

impl ConnectionPlace {
    /// Its request is complete: it is answered, whoever else comes.
    pub(super) fn received(&self) {
        self.room.receiving.lock().unwrap_or_else(PoisonError::into_inner).all.remove(&self.number);
    }

    /// Resolves when it has to make way.
    pub(super) async fn makes_way(&self) {
        self.makes_way.notified().await;
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.received();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn has_to_go(place: &ConnectionPlace) -> bool {
        tokio::time::timeout(Duration::ZERO, place.makes_way()).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_request_that_is_not_complete_makes_way_for_the_next() {
        let room = ConnectionRoom::new(3);
        let answered = room.place().await.unwrap();
        answered.received();
        let slow = room.place().await.unwrap();
        room.make_way();
        assert!(!has_to_go(&slow).await, "there is a place left");
        let newest = room.place().await.unwrap();
        room.make_way();
        assert!(has_to_go(&slow).await && !has_to_go(&answered).await && !has_to_go(&newest).await);
        drop(slow);
        let next = room.place().await.unwrap();
        newest.received();
        room.make_way();
        assert!(!has_to_go(&next).await, "it is the only one that is being received, and has just come");
        drop((answered, newest, next));
        room.emptied().await;
    }
}
