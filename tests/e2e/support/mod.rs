//! What every end-to-end test stands on: a home of its own, the real binary, and patience with a deadline.

mod accounts;
mod cluster;
mod load;
mod nodes;
mod processes;
mod sandbox;
mod ssh;
mod terminal;
mod truth;
mod view;
mod wait;

pub use accounts::{NOBODY, is_root, ordinary, sandbox_of_ordinary_user};
pub use cluster::{Cluster, said};
pub use load::{Load, Manner, Target};
pub use nodes::{Node, node, node_majors, prom_client};
pub use processes::{Process, children, kill, kill_both, kill_both_now, processes_with, start_time, variable_of};
pub use sandbox::{Output, Sandbox, finish, fixture, run};
pub use ssh::SshServer;
pub use terminal::Terminal;
pub use truth::{Counts, Numbered};
pub use view::{AppEvent, InstanceView, has_any};
pub use wait::{Random, pause_between_faults, wait_for, wait_until};

use std::time::Duration;

/// Long enough for a loaded machine, short enough to notice a hang.
pub const SOON: Duration = Duration::from_secs(20);

/// A port that nobody listens on now, for an app that has to declare one.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
