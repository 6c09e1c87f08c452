//! The environment, user and terminal of this process.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::model::Environment;

/// All variables of this process whose name and value are text.
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Writes a line to standard error; a closed one is not an error.
pub fn write_stderr(text: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
}

/// Ends this process at once, whatever its other threads do.
pub fn exit(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

/// How many processors we may use.
pub fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The file that this process was started from.
///
/// # Errors
/// The kernel does not say.
pub fn current_exe() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Whether a user looks at this stream.
pub fn is_terminal(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal()
}

/// Columns of the terminal behind this stream; `None` if it is none.
pub fn terminal_width(stream: &impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Rows of the terminal behind this stream; `None` if it is none.
pub fn terminal_height(stream: &impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_row).filter(|rows| *rows > 0)
}

/// The effective user of this process.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}
