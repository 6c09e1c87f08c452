//! Webhooks: listens where sources say so, and has a source looked at when a call proves that it comes from its server.
//!
//! A call can do nothing but that: what is deployed is what the repository says. So one that is repeated, delayed or lost does no
//! harm; the next look finds the same.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::call::{self, CallDeps};
use super::handle::Sources;
use crate::model::{Desired, SourceName};
use crate::reconciler::Reconciler;

/// Calls at a time at one address; further ones wait in the kernel's queue.
const CALLS_MAX: usize = 16;
/// A call that is not answered by then is given up.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The same of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest head of a call, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers of a call.
const HEADERS_MAX: usize = 64;
/// Until a next try at an address that could not be had, and after a failed accept.
const PAUSE: Duration = Duration::from_secs(2);

/// One address, for as long as it is kept: then nobody listens there, and calls that are not answered are dropped.
struct OpenAddress {
    actual: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for OpenAddress {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lives as long as the reconciler.
pub(super) async fn run(reconciler: Reconciler, sources: Sources) {
    let mut desired = reconciler.desired_changes();
    let deps = CallDeps { desired: reconciler.desired_changes(), sources };
    let mut open: BTreeMap<SocketAddr, OpenAddress> = BTreeMap::new();
    loop {
        let wanted = addresses(&desired.borrow_and_update());
        open.retain(|address, _| wanted.values().any(|other| other == address));
        let mut outcomes: BTreeMap<SocketAddr, Result<SocketAddr, String>> =
            open.iter().map(|(address, open)| (*address, Ok(open.actual))).collect();
        for address in wanted.values() {
            if !outcomes.contains_key(address) {
                let opened = listen(*address, &deps).await;
                outcomes.insert(*address, opened.as_ref().map(|open| open.actual).map_err(Clone::clone));
                open.extend(opened.ok().map(|opened| (*address, opened)));
            }
        }
        deps.sources.note_webhooks(&wanted, &outcomes);
        let has_failed = outcomes.values().any(Result::is_err);
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE), if has_failed => {}
        }
    }
}

async fn listen(address: SocketAddr, deps: &CallDeps) -> Result<OpenAddress, String> {
    let why = |error: io::Error| format!("cannot listen at {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(why)?;
    let actual = listener.local_addr().map_err(why)?;
    Ok(OpenAddress { actual, task: tokio::spawn(accept(address, listener, deps.clone())) })
}

/// Where each source wants to be called. After `pm shutdown` nothing is looked at, and nobody listens.
fn addresses(desired: &Desired) -> BTreeMap<SourceName, SocketAddr> {
    let sources = desired.sources.iter().filter(|_| !desired.is_shut_down);
    sources.filter_map(|(name, source)| Some((name.clone(), source.webhook.as_ref()?.listen))).collect()
}

async fn accept(address: SocketAddr, listener: TcpListener, deps: CallDeps) {
    let places = Arc::new(Semaphore::new(CALLS_MAX));
    let mut calls = JoinSet::new();
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let deps = deps.clone();
                calls.spawn(async move {
                    // Whoever is slow may come again.
                    let _ = tokio::time::timeout(CALL_TIMEOUT, converse(address, stream, deps)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while calls.try_join_next().is_some() {}
    }
}

/// One call, and no second one on the same connection.
async fn converse(address: SocketAddr, stream: TcpStream, deps: CallDeps) {
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
    connection.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let service = service_fn(|request| call::answer(address, request, &deps));
    // A call that breaks off has asked for nothing.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}
