//! Words, tables, colours: the only place that writes to the terminal.

pub(super) mod details;
pub(super) mod event;
pub(super) mod instances;
pub(super) mod lines;
pub(super) mod plan;
pub(super) mod progress;
mod screen;
mod table;
pub(super) mod time;

pub(super) use screen::{Paint, Screen};
pub(super) use table::{Table, Tone};
