//! The accept loop: who may talk, how many at a time, how slowly.

use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::{Context, answer, apps, change, daemon, environment, events, logs};
use crate::model::Actor;
use crate::wire::{self, Problem, ProblemCode};

/// Connections at a time; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 256;
/// Largest request body: a resolved file of thousands of apps.
const BODY_BYTES_MAX: usize = 32 << 20;
/// A request head that is not complete by then is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers in flight may take once the daemon leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause after a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers on `listener` until `stop` becomes true (or its sender is gone), then lets answers in flight end.
///
/// # Errors
/// The listener cannot be used with the runtime.
pub fn serve(
    listener: StdListener,
    context: Context,
    stop: watch::Receiver<bool>,
) -> io::Result<impl Future<Output = ()> + use<>> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let server = Server { router: router(context), own_uid: own_uid(), stop };
    Ok(server.run(listener))
}
