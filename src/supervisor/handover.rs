//! What a new process is given besides its outputs.

use std::os::fd::OwnedFd;

/// Sockets that are open for it, and ways to speak.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Variables of its environment.
    pub variables: Vec<(String, String)>,
    /// Descriptors, from 3 on.
    pub descriptors: Vec<OwnedFd>,
}
