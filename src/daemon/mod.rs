//! Puts the rooms together: the order of startup and of shutdown, as two readable lists.
//!
//! In:    what the anchor hands over        Out:  a running daemon; an exit code for the anchor
//! Never: decisions about apps; anything that one of the rooms could do itself
//! Walk:  [`crate::anchor`] → here → every room that runs

mod boot;
mod leave;

pub use boot::BootError;

use crate::anchor::BootReport;

/// The anchor tries again, later and later.
const FAILED: u8 = 1;
/// Room for these is made at once: for a thousand apps, each with two pipes, its process and a file or a channel.
const DESCRIPTORS: u64 = 4096;

/// Runs the daemon until it is asked to stop. Started only by the anchor, with all inherited descriptors in place.
///
/// In the foreground the service manager waits for the anchor and starts another one, so the daemon does not.
///
/// The exit code is the anchor's instruction: 0 = leave too, anything else = start the next daemon.
pub fn run(is_in_foreground: bool) -> u8 {
    let Some(report) = BootReport::open() else {
        crate::os::write_stderr(&format!("error: {}\n", BootError::NoAnchor));
        return FAILED;
    };
    crate::os::survive_file_size_limit();
    crate::os::keep_memory_small();
    crate::os::make_room_for_descriptors(DESCRIPTORS);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(report, &BootError::Runtime(error)),
    };
    let booted = runtime.block_on(boot::boot());
    crate::os::release_startup_pages();
    let code = match booted {
        Ok(daemon) => runtime.block_on(leave::serve_until_asked(daemon, report, is_in_foreground)),
        Err(error) => failed(report, &error),
    };
    // The link to the anchor ends with the process and not before: a daemon that closed it is taken for a broken one.
    std::mem::forget(runtime);
    code
}

/// The anchor answers requests with the reason, and has connected standard error with the daemon's log.
fn failed(report: BootReport, error: &BootError) -> u8 {
    let reason = crate::model::with_causes(error);
    crate::os::write_stderr(&format!("pm daemon: {reason}\n"));
    report.failed(&reason);
    FAILED
}
