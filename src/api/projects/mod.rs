//! Projects as a whole: how they stand, what they were before, and which repositories they follow.

pub(super) mod history;
pub(super) mod sources;
pub(super) mod status;
