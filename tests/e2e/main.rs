//! End-to-end tests: the real binary, a real daemon, real children. One file per thing that a user would notice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly and say what it counted"
)]

mod support;

// ---- one file says what runs
mod accepted_is_done;
mod apply;
mod attach;
mod bad_files;
mod bounded;
mod build_first;
mod delete_and_prune;
mod dependency_order;
mod examples;
mod exit_codes;
mod known_before_the_stop;
mod last_words;
mod listen;
mod live_change_keeps_pid;
mod reapply_is_noop;
mod rename;
mod rollback;
mod rolling;
mod rolling_by_hand;
mod saved_plans;
mod scale;
mod self_heal;
mod source_diff;
mod source_releases;
mod source_under_load;
mod source_users;
mod source_waiting;
mod source_webhooks;
mod sources;
mod terminal_colours;
mod terminal_completions;
mod terminal_progress;
mod terminal_width;

// ---- ready, healthy, in order, on time
mod cron;
mod depends_on;
mod gitops_walk;
mod health;
mod https;
mod main_pid;
mod notify;
mod ready;

// ---- the copies of a Node app share their ports
mod cluster;
mod cluster_api;
mod cluster_errors;
mod cluster_forms;
mod cluster_killed;
mod cluster_metrics;
mod cluster_reload;

// ---- with the machine
mod boot;
mod reboot;
mod run_file;

// ---- by hand
mod beside_as_the_app;
mod cannot_begin;
mod commands_at_once;
mod escaped;
mod history;
mod homes;
mod hooks;
mod limits;
mod memory;
mod project_status;
mod standard_input;
mod start_stop_restart;
mod stop_tree;
mod stop_trees;

// ---- by itself
mod dev;
mod dev_terminal;
mod watch;
mod watch_bursts;
mod watch_many;

// ---- what happened
mod consent;
mod crash_loop;
mod events_and_why;
mod hostile_text;
mod log_files;
mod log_flood;
mod log_links;
mod log_rotation;
mod logs;
mod logs_of_apps;
mod logs_previous;
mod logs_search;
mod logs_shared;
mod second_checkout;
mod secrets;
mod unread_output;

// ---- elsewhere
mod auto_port;
mod remote;
mod worktrees;

// ---- faults
mod both_killed;
mod both_killed_starting;
mod ctrl_c;
mod daemon_killed;
mod descriptors;
mod first_caller;
mod first_commands;
mod foreground;
mod full_disk;
mod import_others;
mod kill_points;
mod lost_state;
mod lost_table;
mod many_commands;
mod passing_trouble;
mod permissions;
mod pipes;
mod pm2_commands;
mod pm2_errands;
mod pm2_files;
mod pm2_recorded;
mod run_as;
mod signal;
mod socket_files;
mod socket_left_over;
mod state_truncated;
mod stuck_callers;

/// A file that is not in the list above would be a test that never runs.
#[test]
fn no_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let list = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "main" || list.contains(&format!("\nmod {name};\n")), "tests/e2e/{name} is not in main.rs");
    }
}
