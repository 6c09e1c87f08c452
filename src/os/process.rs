//! Process startup: the C library calls `main` directly, without Rust's own startup.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt as _;

/// Makes this process behave as a Rust program does, and gives the words of its command line, its own name first.
///
/// A broken pipe becomes an error of the write instead of a silent death, and a standard stream that the caller had
/// closed becomes a `/dev/null` that fails as the closed one would: else the next thing opened would get its number,
/// and our output.
///
/// # Safety
/// `words` are `count` C strings, as `main` gets them; called once, first.
pub unsafe fn set_up_process(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    fill_standard_streams();
    // SAFETY: a plain setting; there is no other thread yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller's promise.
    let word = |at| unsafe { CStr::from_ptr(*words.add(at)) };
    (0..count).map(|at| OsStr::from_bytes(word(at).to_bytes()).to_owned()).collect()
}

fn fill_standard_streams() {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: three valid entries, and no waiting.
    let found = unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) };
    for stream in streams.iter().filter(|stream| found > 0 && stream.revents & libc::POLLNVAL != 0) {
        // SAFETY: a C string; the lowest free number is the one that is missing.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), closed_mode(stream.fd)) };
        debug_assert_eq!(opened, stream.fd, "the lowest free number");
    }
}

/// What stands in for a closed stream fails as the closed one would: nothing can be read from it, nothing written to it.
fn closed_mode(fd: c_int) -> c_int {
    if fd == 0 { libc::O_WRONLY } else { libc::O_RDONLY }
}
