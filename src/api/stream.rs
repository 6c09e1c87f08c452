//! Server-sent events out of a bounded queue.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Followers;
use crate::wire::{Problem, ProblemCode};

/// Messages that wait for a slow reader; then its writer waits, and what it misses is counted.
const QUEUE_MAX: usize = 256;
/// A comment line keeps both ends sure of each other.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The writing end of a stream. [`Self::send`] says `false` once nobody reads any more.
#[derive(Debug)]
pub(super) struct Outlet {
    queue: mpsc::Sender<String>,
}

impl Outlet {
    /// Sends one message; waits while the queue is full.
    pub(super) async fn send<T: Serialize>(&self, message: &T) -> bool {
        let text = serde_json::to_string(message).unwrap_or_default();
        self.queue.send(text).await.is_ok()
    }

    /// Resolves when nobody reads any more.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }
}

struct Messages {
    queue: mpsc::Receiver<String>,
    _room: OwnedSemaphorePermit,
}

impl Stream for Messages {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(task).map(|text| text.map(|text| Ok(Event::default().data(text))))
    }
}

impl Followers {
    /// Opens a stream, if there is room for one more.
    ///
    /// # Errors
    /// There is not.
    pub(super) fn open(&self) -> Result<(Outlet, Response), Problem> {
        let room = self.0.clone().try_acquire_owned().map_err(|_| {
            Problem::new(ProblemCode::Busy, "too many commands follow the daemon already")
                .hint("end some of them (`pm logs -f`, `pm events --follow`), then try again")
        })?;
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        let body = Sse::new(Messages { queue: messages, _room: room });
        Ok((Outlet { queue }, body.keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()))
    }
}
