//! What only a foreground command needs: Ctrl-C, and replacing itself by another program.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::errno::checked;
use super::foreground::restore_terminal;
use crate::model::Environment;

/// Exit code of a command that was ended by Ctrl-C, as shells count it.
const INTERRUPTED: i32 = 130;

static MESSAGE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static MESSAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// From now on Ctrl-C prints `message` on standard error and ends this process with 130.
///
/// # Errors
/// The kernel refuses the handler.
pub fn say_on_interrupt(message: &'static str) -> io::Result<()> {
    set_interrupt_message(message);
    let handler: extern "C" fn(libc::c_int) = interrupted;
    // SAFETY: a zeroed `sigaction` is a valid empty one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: `action` is initialised; the handler calls nothing but write and _exit.
    checked(unsafe { libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// The message of [`interrupted`].
pub(super) fn set_interrupt_message(message: &'static str) {
    MESSAGE_BYTES.store(message.len(), Ordering::SeqCst);
    MESSAGE.store(message.as_ptr().cast_mut(), Ordering::SeqCst);
}

/// A signal handler: prints the message and ends this process.
pub(super) extern "C" fn interrupted(_signal: libc::c_int) {
    restore_terminal();
    let (text, bytes) = (MESSAGE.load(Ordering::SeqCst), MESSAGE_BYTES.load(Ordering::SeqCst));
    // SAFETY: the text is 'static; both calls may be made in a signal handler.
    unsafe {
        libc::write(libc::STDERR_FILENO, text.cast_const().cast(), bytes);
        libc::_exit(INTERRUPTED);
    }
}

/// Becomes another program with exactly this environment. Comes back only to say why not.
pub fn become_program(program: &Path, args: &[String], env: &Environment, cwd: &Path) -> io::Error {
    Command::new(program).args(args).env_clear().envs(env).current_dir(cwd).exec()
}

/// The working folder, symlinks resolved.
///
/// # Errors
/// It is gone, or may not be looked at.
pub fn current_folder() -> io::Result<std::path::PathBuf> {
    std::env::current_dir()
}

/// One variable of this process, if its value is text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
