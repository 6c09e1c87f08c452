//! One call of a webhook: read within bounds, proved, answered.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use super::handle::Sources;
use crate::model::{Desired, SourceName, SourceSpec, SourceWebhook};
use crate::rules::{self, WebhookCheck};

/// Largest body. No server sends more: GitHub's limit is the highest.
const BODY_BYTES_MAX: u64 = 25 << 20;
/// What is kept of it, to find the branch in. Of a larger one all is checked, and any branch may be meant.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Before the name of the source.
const PATH: &str = "/hooks/";

/// What a call needs; cheap to clone.
#[derive(Clone)]
pub(super) struct CallDeps {
    pub desired: watch::Receiver<Arc<Desired>>,
    pub sources: Sources,
}

/// The answer to a call at this address. Whether there is a source of that name is told only to who knows its secret.
pub(super) async fn answer(
    address: SocketAddr,
    request: Request<Incoming>,
    deps: &CallDeps,
) -> Result<Response<String>, Infallible> {
    let (head, body) = request.into_parts();
    let name = head.uri.path().strip_prefix(PATH).and_then(|name| SourceName::new(name).ok());
    let Some(name) = name else { return Ok(said(StatusCode::NOT_FOUND, "no such path")) };
    if head.method != Method::POST {
        let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "only POST");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return Ok(refused);
    }
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Ok(said(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    let (webhook, spec) = here(address, &name, deps).unzip();
    let secret = webhook.as_ref().map(|webhook| &webhook.secret);
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut check = WebhookCheck::new(secret, headers);
    let kept = match read(body, &mut check).await {
        Ok(kept) => kept,
        Err(refused) => return Ok(refused),
    };
    let spec = spec.filter(|_| check.is_proved());
    deps.sources.note_call(&name, spec.is_some());
    let Some(spec) = spec else {
        return Ok(said(StatusCode::UNAUTHORIZED, "the signature or token is missing or does not fit"));
    };
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let branch = kept.and_then(|body| rules::pushed_branch(&body, is_form));
    if branch.is_some_and(|branch| branch != spec.branch) {
        return Ok(said(StatusCode::OK, "another branch: nothing to do"));
    }
    deps.sources.look_for_call(name).await;
    Ok(said(StatusCode::ACCEPTED, "the repository is looked at"))
}

/// The source, if its webhook is at this address.
fn here(address: SocketAddr, name: &SourceName, deps: &CallDeps) -> Option<(SourceWebhook, SourceSpec)> {
    let desired = deps.desired.borrow();
    let source = desired.sources.get(name)?;
    let webhook = source.webhook.as_ref().filter(|webhook| webhook.listen == address)?;
    Some((webhook.clone(), source.spec.clone()))
}

/// Checks the body as it comes in. `Ok(None)`: it is too large to be kept.
async fn read(body: Incoming, check: &mut WebhookCheck) -> Result<Option<Vec<u8>>, Response<String>> {
    let mut body = pin!(body);
    let (mut kept, mut bytes) = (Some(Vec::new()), 0_u64);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(frame) = frame else {
            return Err(said(StatusCode::BAD_REQUEST, "the body did not arrive as a whole"));
        };
        let Some(piece) = frame.data_ref() else { continue };
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if bytes > BODY_BYTES_MAX {
            return Err(said(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        check.take(piece);
        kept = kept.filter(|kept: &Vec<u8>| kept.len() + piece.len() <= KEPT_BYTES_MAX);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(piece);
        }
    }
    Ok(kept)
}

fn said(status: StatusCode, words: &str) -> Response<String> {
    let mut response = Response::new(format!("{words}\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
