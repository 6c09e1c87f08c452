//! Commands about ecosystem files as such: their keys, their schema, how to come by one.

mod explain;
mod import;
mod schema;

pub(super) use explain::Explain;
pub(super) use import::Import;
pub(super) use schema::Schema;
