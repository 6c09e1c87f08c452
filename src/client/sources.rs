//! The calls about Git sources.

use serde::Serialize;

use super::connection::json;
use super::{Client, ClientError};
use crate::model::SourceName;
use crate::wire::{Query, SourceRequest, SourceWork, SourcesAnswer};

impl Client {
    /// All sources.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn sources(&mut self) -> Result<SourcesAnswer, ClientError> {
        self.connection.ask("GET", "/v1/sources", None)
    }

    /// What the worker of a sync needs.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn source_work(&mut self, source: &SourceName, has_releases: bool) -> Result<SourceWork, ClientError> {
        let query = Query::default().with("source", Some(source)).with_flag("releases", has_releases);
        self.connection.ask("GET", &query.on("/v1/sources/work"), None)
    }

    /// Changes what is kept of a source.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn command_source(&mut self, request: &SourceRequest) -> Result<SourcesAnswer, ClientError> {
        self.connection.ask("POST", "/v1/sources", Some(&json(request)?))
    }

    /// Has a source looked at now (`sync`), or says what its worker does (`stage`).
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn tell_source<T: Serialize>(&mut self, what: &str, request: &T) -> Result<SourcesAnswer, ClientError> {
        self.connection.ask("POST", &format!("/v1/sources/{what}"), Some(&json(request)?))
    }
}
