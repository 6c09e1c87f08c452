//! The thin binary: command line, daemon or anchor?
//!
//! The C library calls `main` directly. What Rust's own start-up does beyond (a guard for the stack's end, its place
//! looked up in `/proc`) is a tenth of the life of `pm list`; what of it matters here is `os::set_up_process`.
#![no_main]

use std::ffi::{OsString, c_char, c_int};

/// A wrong call, as everywhere.
const USAGE: u8 = 64;

// SAFETY: the one program entry of this binary; nothing else bears the name.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    // SAFETY: passed on as the C library gave it, which promises as much.
    let argv = unsafe { pm::os::set_up_process(count, words) };
    // Anchor and daemon must not pay for a command line that they do not have.
    let code = match argv.get(1).and_then(|word| word.to_str()) {
        Some("anchor") => anchor(&argv[2..]),
        Some("daemon") if argv.get(3).is_some_and(|word| word == "--inherited") => {
            pm::daemon::run(argv.get(4).is_some_and(|word| word == "--foreground"))
        }
        _ => pm::cli::run(argv),
    };
    c_int::from(code)
}

/// Written by ourselves, so anything else was typed by a user.
fn anchor(words: &[OsString]) -> u8 {
    if let Some(arguments) = pm::anchor::Arguments::parse(words) {
        return pm::anchor::run(&arguments);
    }
    pm::os::write_stderr(
        "error: `pm anchor` is started by `pm` itself\nhint: `pm daemon run` runs everything in the foreground\n",
    );
    USAGE
}
