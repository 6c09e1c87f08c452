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
#[cfg(target_os = "linux")]
mod command;
mod errno;
mod files;
mod foreground;
mod home;
mod killpoint;
mod limits;
mod listen;
mod lock;
mod look;
mod output;
mod process;
mod socket;
mod surroundings;
mod terminal;
mod user;
mod worker;
mod zone;

#[cfg(target_os = "linux")]
mod linux;

pub use allocator::{give_memory_back, keep_memory_small};
pub use clock::{now, pause, wall};
pub use code::forget_first_steps;
#[cfg(target_os = "linux")]
pub use command::{CommandEnd, CommandLine, run_command};
pub use errno::is_passing;
pub use files::{
    append_capped, canonicalize, create_private_folder, exists, find_program, first_line, is_executable, is_folder,
    missing_interpreter, open_append, open_read, read_limited, remove_if_there, walk_files, write_atomically,
    write_whole,
};
pub use foreground::{Interrupts, Keys};
pub use home::{Home, HomeError};
pub use killpoint::{arm_killpoints, killpoint};
pub use limits::{FileLimit, lower_own_oom_score, raise_file_limit};
#[cfg(target_os = "linux")]
pub use linux::{
    Datagram, Dead, ExecPlan, ExitWatch, FolderChange, FolderEvent, FolderSignal, FolderWatch, Groups, Heir, HeldAt,
    Helper, Identity, InputWatch, Leftover, ListenerLookup, Mailbox, Output, PASSED_MAX, Parent, PidFd, Poller,
    ProcStat, Ready, SEAT_NUMBERS, SharedMemory, ShutdownSignals, SignalFd, SocketHolder, SpawnFailed, UNKNOWN_STATUS,
    Waker, adopt, become_subreaper, belongs_to_tree, boot_id, children_of, close_on_exec_from, cookie_of, copy_above,
    cpu_of, cpu_of_all, descendants, drop_datagram, exit_of, exit_of_zombie, helper_output, is_remote,
    keep_across_exec, leave_session, leftovers, listener_inodes, memory_of, memory_of_all, move_above, name_process,
    next_dead_child, oom_kills, open_channel, open_notify_socket, open_null, output_pipe, own_pid, packet_pair,
    parent_pid, peek_channel, peek_datagram, pipe_inode, pipe_of_process, place, proc_stat, process_name, reap,
    reap_exit, receive_packet, say_on_channel, send_packet, sessions, set_child_oom_score, signal_child, socket_holder,
    spawn, start_ticks, take_from_channel, take_seats, ticks_now, trees, variables_of, wait_readable, wait_writable,
    watch_limit,
};
pub use listen::{listen_at, listens_at, stop_listening, tcp_address_of};
pub use lock::Lock;
pub use look::{Entry, FileKind, Stamp, file_kind, list_entries, list_folder, stamp};
pub use output::{StandardStream, is_reader_gone, write_within};
pub use process::set_up_process;
pub use socket::{UnixAddress, connect, listen, peer_uid};
pub use surroundings::{cpu_count, current_exe, environment, is_terminal, terminal_width, user_id, write_stderr};
pub use terminal::{RunAs, become_program, current_folder, say_on_interrupt, variable};
pub use user::{User, group_id, supplementary_groups, user_by_id, user_name, user_named};
pub use worker::{Crew, Full, Worker};
pub use zone::{local_zone, zone_named};
