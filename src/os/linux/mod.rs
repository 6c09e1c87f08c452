//! What only Linux has: pidfds, `/proc`, `CLONE_PARENT`, `splice`, epoll, memfd.

mod exit_watch;
mod fifo;
mod memory;
mod pidfd;
mod poller;
mod proc;
mod spawn;
mod stack;
mod tree;

pub use exit_watch::ExitWatch;
pub use fifo::{Fifo, clear_fifos, queued_bytes, splice};
pub use memory::SharedMemory;
pub use pidfd::PidFd;
pub use poller::{Poller, Ready, Waker};
pub use proc::{ProcStat, boot_id, children_of, cookie_of, cpu_of, memory_of, parent_pid, proc_stat};
pub use spawn::{ExecPlan, Identity, Mailbox, Parent, SpawnFailed, set_child_oom_score, spawn};
pub use tree::{Leftover, leftovers};
