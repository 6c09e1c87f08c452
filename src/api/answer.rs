//! JSON answers, and the one shape of all errors.

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::RefusalKind;
use crate::reconciler::ReconcileError;
use crate::wire::{Problem, ProblemCode};

/// What every handler gives back.
pub(super) type Answer = Result<Response, Failed>;

/// A problem on its way out.
#[derive(Debug)]
pub(super) struct Failed(pub Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<ReconcileError> for Failed {
    fn from(error: ReconcileError) -> Self {
        Self(explain(error))
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        problem(&self.0)
    }
}

/// What the reconciler refused, for the caller.
pub(super) fn explain(error: ReconcileError) -> Problem {
    let message = error.to_string();
    match error {
        ReconcileError::Refused(refusal) => {
            let code = match refusal.kind {
                RefusalKind::Ownership => ProblemCode::Ownership,
                RefusalKind::Safety => ProblemCode::Refused,
                RefusalKind::Usage => ProblemCode::Usage,
                RefusalKind::Stale => ProblemCode::Stale,
            };
            Problem { hint: refusal.hint, ..Problem::new(code, message) }
        }
        ReconcileError::NoSuchApp { .. } => Problem::new(ProblemCode::NoSuchApp, message),
        ReconcileError::NotStored { .. } => Problem::new(ProblemCode::NotStored, message),
        ReconcileError::ShuttingDown => Problem::new(ProblemCode::ShuttingDown, message),
    }
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Response {
    respond(StatusCode::OK, value)
}

/// A problem with its status.
pub(super) fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, problem)
}

fn respond<T: Serialize>(status: StatusCode, value: &T) -> Response {
    // The shapes have text keys only, which is all that can make this fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// Reads a JSON body.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(ProblemCode::BadRequest, format!("cannot understand the request: {error}")))
}

pub(super) async fn no_such_route(uri: Uri) -> Failed {
    Failed(Problem::new(ProblemCode::BadRequest, format!("no route `{}`", uri.path())))
}
