//! Linux-only code: pidfds, `/proc`, `CLONE_PARENT`, `splice`, epoll, memfd.

mod ahead;
mod attributes;
mod census;
mod cgroup;
mod cluster;
mod descriptors;
mod exit_watch;
mod folder;
mod identity;
mod in_context;
mod inotify;
mod launcher;
mod listeners;
mod memory;
mod messages;
mod packet;
mod pidfd;
mod pipe;
mod poller;
mod proc;
mod process_limits;
mod reaper;
mod rights;
pub use rights::open_own;
pub(super) use rights::{make_files_for, rights_to_make, rights_to_make_for};
mod service;
mod side_command;
mod signals;
mod socket_file;
mod spawn;
mod stack;
mod tree;
mod usage;

pub use ahead::reserve_space;
pub use attributes::{file_size_limit, lay_down_attributes, survive_file_size_limit, wait_for_children};
pub use census::{
    Seen, is_another_daemon, is_our_program, linked_children, living, outputs_of, processes_of_home, unknown_children,
};
pub use cgroup::Groups;
pub use cluster::{
    Sent, VAULT_RECORD_BYTES_MAX, Vault, abstract_name, accept_connection, local_address, never_wait, open_tcp,
    open_udp, open_unix, pass_connection_on, remove_socket_file, send_line, with_rights_of,
};
pub use descriptors::{adopt, close_on_exec_from, copy_above, keep_across_exec, move_above, open_null, place};
pub use exit_watch::{ExitWatch, InputWatch};
pub use folder::{Folder, Missing, Named};
pub use identity::{may_set_ids, own_identity};
pub use in_context::{Taken, take_on};
pub use inotify::{FolderChange, FolderEvent, FolderInterest, FolderSignal, FolderWatch, is_remote, watch_limit};
pub use launcher::DaemonLauncher;
pub use listeners::{
    HeldAt, ListenerLookup, SocketHolder, belongs_to_tree, listener_inodes, process_name, socket_holder, socket_inode,
    sockets_at_path, tree_holds,
};
pub use memory::SharedMemory;
pub use messages::{
    Datagram, drop_datagram, open_channel, open_notify_socket, peek_channel, peek_datagram, random,
    reopen_notify_socket, say_on_channel, take_from_channel,
};
pub use packet::{PASSED_MAX, packet_pair, receive_packet, send_packet, wait_readable, wait_writable};
pub use pidfd::{PidFd, UNKNOWN_STATUS, exit_of};
pub use pipe::{INPUT_BYTES_MAX, output_pipe, pipe_inode, pipe_of_process, write_to_input};
pub use poller::{Poller, Ready, Waker};
pub use proc::{
    ProcStat, boot_id, children_of, cookie_of, cpu_of, exit_of_zombie, memory_of, moment_of_ticks, oom_kills, own_pid,
    parent_pid, proc_stat, start_ticks, ticks_now, variables_of,
};
pub use process_limits::{EXEC_BYTES_MAX, exec_limits, exec_string_bytes, limits_of_children, open_files_max};
pub use reaper::{Dead, become_subreaper, leave_session, name_process, next_dead_child, reap, reap_exit, signal_child};
pub use service::{become_service, notify_service_manager};
pub use side_command::{Helper, HelperGate, Printed};
pub use signals::{ShutdownSignals, SignalFd};
pub use socket_file::{SocketAccess, SocketFile, bind_closed};
pub use spawn::{
    ExecPlan, HoldsNul, Mailbox, Output, Parent, RESERVED_DESCRIPTORS, SpawnFailed, rehearse, reserve_descriptors,
    set_child_oom_score, set_child_open_files, spawn,
};
pub use tree::{Leftover, descendants, open_leftovers, sessions};
pub use usage::{cpu_of_all, memory_of_all, trees};
