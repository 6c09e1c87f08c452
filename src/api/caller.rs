//! Who is behind a connection.

use crate::model::Actor;
use crate::os;

/// The user behind a connection. The name is read from `/etc/passwd` only for changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    uid: u32,
}

impl Caller {
    pub(super) fn new(uid: u32) -> Self {
        Self { uid }
    }

    /// With the user's name.
    pub(super) fn actor(self) -> Actor {
        Actor { uid: self.uid, name: os::user_name(self.uid).into() }
    }
}
