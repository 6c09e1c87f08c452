//! The only room that calls the kernel: clocks, files, users, sockets, processes, pipes, threads.
//!
//! In:    plain values, file descriptors     Out:  plain values, file descriptors, `io::Error`
//! Never: a decision; a word for people beyond naming the operation; state that outlives a handle
//! Walk:  [`crate::supervisor`] → here → the kernel → back as exits, bytes and times
//!
//! What only Linux has stands in `linux/` and is exported from here under names that do not say so;
//! another system gets a folder of its own with the same doors.

mod allocator;
mod clock;
mod code;
mod errno;
mod files;
mod home;
mod killpoint;
mod limits;
mod lock;
mod look;
mod process;
mod socket;
mod surroundings;
mod terminal;
mod user;
mod worker;

#[cfg(target_os = "linux")]
mod linux;

pub use allocator::{give_memory_back, keep_memory_small};
pub use clock::{now, pause, wall};
pub use code::forget_first_steps;
pub use errno::is_passing;
pub use files::{
    append_capped, canonicalize, create_private_folder, exists, find_program, first_line, is_executable, is_folder,
    missing_interpreter, open_append, open_read, read_limited, remove_if_there, walk_files, write_atomically,
};
pub use home::{Home, HomeError};
pub use killpoint::{arm_killpoints, killpoint};
pub use limits::{FileLimit, lower_own_oom_score, raise_file_limit};
#[cfg(target_os = "linux")]
pub use linux::{
    Dead, ExecPlan, ExitWatch, Fifo, Heir, Identity, Leftover, Mailbox, Parent, PidFd, Poller, ProcStat, Ready,
    SharedMemory, ShutdownSignals, SignalFd, SpawnFailed, UNKNOWN_STATUS, Waker, adopt, become_subreaper, boot_id,
    children_of, clear_fifos, close_on_exec_from, cookie_of, copy_above, cpu_of, descendants, exit_of, exit_of_zombie,
    keep_across_exec, leave_session, leftovers, memory_of, move_above, name_process, next_dead_child, open_null,
    own_pid, packet_pair, parent_pid, place, proc_stat, queued_bytes, reap, receive_packet, send_packet,
    set_child_oom_score, signal_child, spawn, splice, variables_of, wait_readable, wait_writable,
};
pub use lock::Lock;
pub use look::{FileKind, file_kind, list_folder};
pub use process::set_up_process;
pub use socket::{UnixAddress, connect, listen, peer_uid};
pub use surroundings::{cpu_count, current_exe, environment, is_terminal, terminal_width, user_id, write_stderr};
pub use terminal::{RunAs, become_program, current_folder, say_on_interrupt, variable};
pub use user::{User, group_id, supplementary_groups, user_by_id, user_name, user_named};
pub use worker::{Full, Worker};
