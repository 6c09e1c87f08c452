//! `GET /v1/events`: events, as one answer or as a stream.

use serde::{Deserialize, Serialize};

use super::{Problem, Query, Selection};
use crate::model::Event;

/// Which events: what follows the `?` of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsQuery {
    /// About which apps; a deleted app may still be named.
    pub selection: Selection,
    /// Only after this number.
    pub after: Option<u64>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
    /// Keep following new events.
    pub follow: bool,
}

impl EventsQuery {
    /// For a URL.
    pub fn query(&self) -> Query {
        self.selection.query().with("after", self.after).with("limit", self.limit).with_flag("follow", self.follow)
    }

    /// From a URL.
    ///
    /// # Errors
    /// A value of the wrong kind.
    pub fn from_query(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            selection: Selection::from_query(query)?,
            after: query.value("after")?,
            limit: query.value("limit")?,
            follow: query.flag("follow"),
        })
    }
}

/// The answer of `GET /v1/events` without `follow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// Oldest first.
    pub events: Vec<Event>,
}

/// One message of `GET /v1/events?follow=true`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "message")]
pub enum EventMessage {
    /// A fact (boxed: far larger than the other variant).
    Event {
        /// The fact.
        event: Box<Event>,
    },
    /// The reader fell behind; this many events were skipped (the journal has them).
    Missed {
        /// How many.
        count: u64,
    },
}
