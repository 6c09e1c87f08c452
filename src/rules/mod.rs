//! (not built yet)

pub mod rotation;
