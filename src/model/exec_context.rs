//! Who a process is and in what it runs, as the kernel is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Environment, Identity, Limits};

/// What an app and every command beside it (hooks, probes, builds, `pm exec`) have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecContext {
    /// Its whole environment.
    pub env: Environment,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Who it becomes; `None` = it stays who the daemon is.
    pub identity: Option<Identity>,
    /// File mode mask.
    pub umask: u32,
    /// What it may use, as far as that is set on the process itself; absent = as the daemon.
    pub limits: Limits,
}

/// All limits of a process, none left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// By the names of `ulimit` and `limits.conf(5)`: `nofile`, `nproc`, `stack`, …
    pub resources: BTreeMap<String, ResourceLimit>,
    /// Scheduling priority.
    pub nice: i32,
    /// Score of the out-of-memory killer.
    pub oom_score_adj: i32,
}

/// How large `execve(2)` takes what a program starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecLimits {
    /// One word or variable, its end included.
    pub string_bytes: u64,
    /// All of them, with their addresses.
    pub total_bytes: u64,
}

/// One pair of `getrlimit(2)`; `None` = unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// What holds now.
    pub soft: Option<u64>,
    /// As far as the process may raise it.
    pub hard: Option<u64>,
}
