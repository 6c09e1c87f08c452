//! The only room that calls the kernel: clocks, files, users, sockets, processes, pipes, threads.
//!
//! In:    plain values, file descriptors     Out:  plain values, file descriptors, `io::Error`
//! Never: a decision; a word for users beyond naming the operation; state that outlives a handle
//! Walk:  [`crate::supervisor`] → here → the kernel → back as exits, bytes and times
//!
//! Linux-only code lives in `linux/` and is exported from here under neutral names;
//! another system gets a folder of its own with the same exports.

mod allocator;
mod clock;
mod code;
#[cfg(target_os = "linux")]
mod contents;
mod errno;
mod file_tree;
mod files;
mod foreground;
mod home;
mod init;
mod killpoint;
mod limits;
mod listen;
mod lock;
mod look;
mod output;
mod process;
#[cfg(target_os = "linux")]
mod remote;
mod socket;
mod terminal;
mod this_process;
mod tools;
mod trust;
mod user;
mod worker;
mod zone;

#[cfg(target_os = "linux")]
mod linux;

pub use allocator::{give_memory_back, keep_memory_small};
pub use clock::{now, pause, wall};
pub use code::release_startup_pages;
#[cfg(target_os = "linux")]
pub use contents::read_contents;
pub use errno::{is_disk_full, is_out_of_descriptors, is_passing, is_peer_gone};
pub use file_tree::{
    give_tree, keep_for, keep_private, let_pass, lets_pass, make_folder, make_link, remove_tree, rename,
    rename_durably, seal_tree, sync_tree,
};
pub use files::{
    append_capped, canonicalize, create_private_folder, empty_own_file, exists, file_names, find_program, first_line,
    for_all_users, is_executable, is_folder, missing_interpreter, open_append, open_read, read_limited, read_pieces,
    remove_if_there, walk_files, write_atomically, write_whole,
};
pub use foreground::{Interrupts, Keys, read_typed_lines};
pub use home::{Home, HomeError, make_files_for_owner_of};
pub use init::{create_open_folder, first_process, is_writable_by_others, owner_of_file, run_init_tool};
pub use killpoint::{arm_killpoints, killpoint};
pub use limits::{FileLimit, below, file_limit, lower_own_oom_score, make_room_for_descriptors, raise_file_limit};
#[cfg(target_os = "linux")]
pub use linux::{
    DaemonLauncher, Datagram, Dead, EXEC_BYTES_MAX, ExecPlan, ExitWatch, Folder, FolderChange, FolderEvent,
    FolderInterest, FolderSignal, FolderWatch, Groups, HeldAt, Helper, HelperGate, HoldsNul, INPUT_BYTES_MAX,
    InputWatch, Leftover, ListenerLookup, Mailbox, Missing, Named, Output, PASSED_MAX, Parent, PidFd, Poller, Printed,
    ProcStat, RESERVED_DESCRIPTORS, Ready, Seen, Sent, SharedMemory, ShutdownSignals, SignalFd, SocketAccess,
    SocketFile, SocketHolder, SpawnFailed, Taken, UNKNOWN_STATUS, VAULT_RECORD_BYTES_MAX, Vault, Waker, abstract_name,
    accept_connection, adopt, become_service, become_subreaper, belongs_to_tree, boot_id, children_of,
    close_on_exec_from, cookie_of, copy_above, cpu_of, cpu_of_all, descendants, drop_datagram, exec_limits,
    exec_string_bytes, exit_of, exit_of_zombie, file_size_limit, is_another_daemon, is_our_program, is_remote,
    keep_across_exec, lay_down_attributes, leave_session, limits_of_children, linked_children, listener_inodes, living,
    local_address, may_set_ids, memory_of, memory_of_all, moment_of_ticks, move_above, name_process, never_wait,
    next_dead_child, notify_service_manager, oom_kills, open_channel, open_files_max, open_leftovers,
    open_notify_socket, open_null, open_own, open_tcp, open_udp, open_unix, output_pipe, outputs_of, own_identity,
    own_pid, packet_pair, parent_pid, pass_connection_on, peek_channel, peek_datagram, pipe_inode, pipe_of_process,
    place, proc_stat, process_name, processes_of_home, random, reap, reap_exit, receive_packet, rehearse,
    remove_socket_file, reopen_notify_socket, reserve_descriptors, reserve_space, say_on_channel, send_line,
    send_packet, sessions, set_child_oom_score, set_child_open_files, signal_child, socket_holder, socket_inode,
    sockets_at_path, spawn, start_ticks, survive_file_size_limit, take_from_channel, take_on, ticks_now, tree_holds,
    trees, unknown_children, variables_of, wait_for_children, wait_readable, wait_writable, watch_limit,
    with_rights_of, write_to_input,
};
pub use listen::{
    Listening, is_listening, is_port_free, listen_at, listens_at, may_listen_at, reset_socket, stop_listening,
    tcp_address_of,
};
pub use lock::Lock;
pub use look::{
    Entry, FileKind, NameKind, Stamp, file_kind, folder_identity, list_entries, list_folder, name_kind, stamp,
};
pub use output::{StandardStream, is_reader_gone, write_within};
pub use process::set_up_process;
#[cfg(target_os = "linux")]
pub use remote::{Carrier, CarrierEnd, CarrierEnder, Half, InnerHalf, bare_streams, split_process};
pub use socket::{UnixAddress, connect, listen, peer_uid};
pub use terminal::{become_program, current_folder, say_on_interrupt, variable};
pub use this_process::{
    cpu_count, current_exe, environment, exit, is_terminal, terminal_height, terminal_width, user_id, write_stderr,
};
pub use tools::{GroupAnswer, GroupCall, ToolAnswer, ToolCall, run_in_group, run_tool};
pub use trust::Distrust;
pub use user::{Account, AccountError, User, account, group_id, user_by_id, user_name, user_named};
pub use worker::{ElasticPool, Full, Worker, start_thread};
pub use zone::{local_zone, zone_named};
