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

/// The writing end of a stream. [`Self::send`] returns `false` once the reader is gone.
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

    /// Resolves when the reader is gone.
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
    /// Opens a stream for an observer, if there is room for one more.
    ///
    /// # Errors
    /// There is not.
    pub(super) fn open(&self) -> Result<(Outlet, Response), Problem> {
        let busy = || {
            Problem::new(ProblemCode::Busy, "too many commands are already following the daemon")
                .hint("stop some of them (`pm logs -f`, `pm events --follow`), then try again")
        };
        self.observers.clone().try_acquire_owned().map_err(|_| busy()).map(stream)
    }

    /// Opens a stream for a change: observers leave room for it.
    ///
    /// # Errors
    /// Too many changes are in progress.
    pub(super) fn open_change(&self) -> Result<(Outlet, Response), Problem> {
        let busy =
            || Problem::new(ProblemCode::Busy, "too many commands are already waiting for changes").hint("try again");
        self.changes.clone().try_acquire_owned().map_err(|_| busy()).map(stream)
    }

    /// Room for so many log files that are kept open.
    ///
    /// # Errors
    /// The limit of open files does not allow that many.
    pub(super) fn files(&self, count: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.files.clone().try_acquire_many_owned(count).map_err(|_| {
            Problem::new(ProblemCode::Busy, "too many log files are already being followed")
                .hint("follow fewer apps, stop other `pm logs -f`, or raise the limit of open files (`ulimit -n`)")
        })
    }
}

fn stream(room: OwnedSemaphorePermit) -> (Outlet, Response) {
    let (queue, messages) = mpsc::channel(QUEUE_MAX);
    let body = Sse::new(Messages { queue: messages, _room: room });
    (Outlet { queue }, body.keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}
