//! The accept loop: who may talk, how many at a time, how slowly.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::caller::Caller;
use super::projects::{history, sources, status};
use super::room::{ConnectionPlace, ConnectionRoom};
use super::{
    Context, answer, apps, change, cron, daemon, environment, events, inputs, logs, messages, metrics, rollouts,
    signals,
};
use crate::model::PROPOSED_BYTES_MAX;
use crate::os;
use crate::wire::{self, Problem, ProblemCode};

/// Largest request body: a resolved file of thousands of apps, and what is said beside it.
const BODY_BYTES_MAX: usize = PROPOSED_BYTES_MAX + (4 << 20);
/// A request head that is not complete by then is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The same of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers in flight may take once the daemon leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause after a failed accept, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may take that was accepted with the last descriptor.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);

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
    let connections_max = context.connections_max;
    Ok(accept_loop(listener, connections_max, router(context), stop))
}

pub(super) fn router(context: Context) -> Router {
    Router::new()
        .route("/v1/list", get(apps::list))
        .route("/v1/apps", get(apps::describe))
        .route("/v1/projects", get(apps::projects))
        .route("/v1/status", get(status::status))
        .route("/v1/plan", post(change::plan))
        .route("/v1/apply", post(change::apply))
        .route("/v1/edit", post(change::edit))
        .route("/v1/rollouts", get(rollouts::list).post(rollouts::want))
        .route("/v1/history", get(history::list))
        .route("/v1/history/entry", get(history::entry))
        .route("/v1/history/tag", post(history::tag))
        .route("/v1/rollback", post(history::roll_back))
        .route("/v1/rollback/plan", post(history::plan_rollback))
        .route("/v1/sources", get(sources::list).post(sources::command))
        .route("/v1/sources/sync", post(sources::sync))
        .route("/v1/sources/stage", post(sources::stage))
        .route("/v1/sources/work", get(sources::work))
        .route("/v1/shutdown", post(change::shut_down))
        .route("/v1/cron", get(cron::schedules))
        .route("/v1/logs", get(logs::logs))
        .route("/v1/logs/deleted", get(logs::deleted::list).post(logs::deleted::remove))
        .route("/v1/events", get(events::events))
        .route("/v1/env", get(environment::environment))
        .route("/v1/send", post(messages::send))
        .route("/v1/signal", post(signals::signal))
        .route("/v1/input", post(inputs::input))
        .route("/v1/metrics", get(metrics::metrics))
        .route("/v1/daemon", get(daemon::status))
        .route("/v1/daemon/restart", post(daemon::restart))
        .route("/v1/daemon/stop", post(daemon::stop))
        .fallback(answer::no_such_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(context)
}

async fn accept_loop(listener: UnixListener, connections_max: usize, router: Router, mut stop: watch::Receiver<bool>) {
    let room = ConnectionRoom::new(connections_max);
    // Closed for a connection when there is no other descriptor left, so that users still get an answer.
    let mut spare = os::open_null().ok();
    loop {
        let next = async {
            let place = room.place().await.ok()?;
            Some((place, listener.accept().await))
        };
        tokio::select! {
            () = asked(&mut stop) => break,
            next = next => match next {
                Some((place, Ok((stream, _)))) => {
                    tokio::spawn(converse(stream, place, router.clone(), stop.clone()));
                    room.make_way();
                }
                Some((place, Err(error))) => {
                    if os::is_out_of_descriptors(&error) && spare.take().is_some() {
                        accept_last(&listener, place, &router, &stop).await;
                        spare = os::open_null().ok();
                    } else {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        spare = spare.or_else(|| os::open_null().ok());
                    }
                }
                None => break,
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(LEAVE_TIMEOUT, room.emptied()).await;
}

/// Answers one connection before the next is accepted: there is one descriptor for all of them.
async fn accept_last(listener: &UnixListener, place: ConnectionPlace, router: &Router, stop: &watch::Receiver<bool>) {
    if let Ok(Ok((stream, _))) = tokio::time::timeout(ACCEPT_PAUSE, listener.accept()).await {
        let conversation = converse(stream, place, router.clone(), stop.clone());
        let _ = tokio::time::timeout(LAST_TIMEOUT, conversation).await;
    }
}

/// One connection from first request to last.
async fn converse(stream: UnixStream, place: ConnectionPlace, router: Router, mut stop: watch::Receiver<bool>) {
    let place = Arc::new(place);
    let caller = admit(&stream);
    let inner = TowerToHyperService::new(router);
    let held = Arc::clone(&place);
    let service = service_fn(move |request: Request<Incoming>| {
        let (caller, inner, place) = (caller.clone(), inner.clone(), Arc::clone(&held));
        async move {
            let whole = match caller {
                Ok(caller) => whole(request, caller).await,
                Err(problem) => Err(problem),
            };
            place.received();
            let response = match whole {
                Ok(request) => {
                    let Ok(response) = inner.call(request).await;
                    response
                }
                Err(problem) => answer::problem(&problem),
            };
            Ok::<_, Infallible>(introduce(response))
        }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = std::pin::pin!(connection.serve_connection(TokioIo::new(stream), service));
    let is_over = tokio::select! {
        _ = connection.as_mut() => true,
        () = place.makes_way() => true,
        () = asked(&mut stop) => false,
    };
    if !is_over {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, connection).await;
    }
    drop(place);
}

/// A request with its whole body, so that nothing is begun for one that never comes.
async fn whole(request: Request<Incoming>, caller: Caller) -> Result<Request<Body>, Problem> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(caller);
    let mib = BODY_BYTES_MAX >> 20;
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(Problem::new(ProblemCode::TooLarge, format!("the request is larger than {mib} MiB")));
    }
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, body::to_bytes(Body::new(body), BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let message = format!("the request did not arrive as a whole, or is larger than {mib} MiB");
            return Err(Problem::new(ProblemCode::BadRequest, message));
        }
        Err(_) => {
            let message = format!("the request did not arrive within {} s", BODY_TIMEOUT.as_secs());
            return Err(Problem::new(ProblemCode::BadRequest, message));
        }
    };
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Resolves when the daemon leaves.
async fn asked(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone is a daemon that is gone.
    let _ = stop.wait_for(|is_asked| *is_asked).await;
}

/// The user at the other end of the socket; everyone but this user and root is refused.
fn admit(stream: &UnixStream) -> Result<Caller, Problem> {
    let forbidden = |message: String| Problem::new(ProblemCode::Forbidden, message);
    let uid =
        stream.peer_cred().map_err(|error| forbidden(format!("cannot determine the calling user: {error}")))?.uid();
    if uid != 0 && uid != os::user_id() {
        return Err(forbidden("this daemon belongs to another user".to_owned()));
    }
    Ok(Caller::new(uid))
}

/// Every answer says which daemon gave it.
fn introduce(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(wire::VERSION_HEADER), HeaderValue::from_static(wire::VERSION));
    headers.insert(HeaderName::from_static(wire::PROTOCOL_HEADER), HeaderValue::from(wire::PROTOCOL));
    response
}
