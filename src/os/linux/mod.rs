//! What only Linux has: pidfds, `/proc`, `CLONE_PARENT`, `splice`, epoll, memfd.

mod descriptors;
mod exit_watch;
mod fifo;
mod heir;
mod memory;
mod packet;
mod pidfd;
mod poller;
mod proc;
mod reaper;
mod signals;
mod spawn;
mod stack;
mod tree;

pub use descriptors::{adopt, close_on_exec_from, copy_above, keep_across_exec, move_above, open_null, place};
pub use exit_watch::ExitWatch;
pub use fifo::{Fifo, clear_fifos, queued_bytes, splice};
pub use heir::Heir;
pub use memory::SharedMemory;
pub use packet::{packet_pair, receive_packet, send_packet, wait_readable, wait_writable};
pub use pidfd::{PidFd, UNKNOWN_STATUS, exit_of};
pub use poller::{Poller, Ready, Waker};
pub use proc::{
    ProcStat, boot_id, children_of, cookie_of, cpu_of, exit_of_zombie, memory_of, own_pid, parent_pid, proc_stat,
    variables_of,
};
pub use reaper::{Dead, become_subreaper, leave_session, name_process, next_dead_child, reap, signal_child};
pub use signals::{ShutdownSignals, SignalFd};
pub use spawn::{ExecPlan, Identity, Mailbox, Parent, SpawnFailed, set_child_oom_score, spawn};
pub use tree::{Leftover, descendants, leftovers};
