//! The calls about Git sources.

use super::connection::json;
use super::{Client, ClientError};
use crate::model::SourceName;
use crate::wire::{Query, SourceRequest, SourceWork, SourcesAnswer, StageRequest, SyncRequest};

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

    /// Has a source looked at now.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn sync_source(&mut self, request: &SyncRequest) -> Result<SourcesAnswer, ClientError> {
        self.connection.ask("POST", "/v1/sources/sync", Some(&json(request)?))
    }

    /// Says what the worker of a sync does.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn say_stage(&mut self, request: &StageRequest) -> Result<SourcesAnswer, ClientError> {
        self.connection.ask("POST", "/v1/sources/stage", Some(&json(request)?))
    }
}
