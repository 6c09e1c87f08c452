//! Who a process runs as, in the numbers of the kernel.

use serde::{Deserialize, Serialize};

/// User, group and supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User: real, effective and saved.
    pub uid: u32,
    /// Group: real, effective and saved.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Identity {
    /// The supplementary groups in order, each once: as sets they are compared.
    pub fn sorted_groups(&self) -> Vec<u32> {
        let mut groups = self.groups.clone();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}
