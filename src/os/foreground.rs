//! What a command that stays in the foreground needs: keys one by one, and Ctrl-C as something to wait for.

use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

use super::errno::checked;
use super::terminal::{interrupted, set_interrupt_message};

/// The writing end of the pipe that the handler writes to; −1 = none.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// SIGINT and SIGTERM so far.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// How the terminal was before keys were read one by one. Never freed: a signal handler may be reading it.
static TERMINAL: AtomicPtr<libc::termios> = AtomicPtr::new(std::ptr::null_mut());
/// How it is while they are; null = they are not. Never freed, for the same reason.
static SINGLE_KEYS: AtomicPtr<libc::termios> = AtomicPtr::new(std::ptr::null_mut());
static LISTENING: Mutex<()> = Mutex::new(());

/// SIGINT, SIGTERM and SIGHUP of this process.
#[derive(Debug)]
pub struct Interrupts(io::PipeReader);

impl Interrupts {
    /// From now on the first of them is told by [`Self::wait`]; a SIGINT or SIGTERM after another says `message` and
    /// ends this process with 130 at once.
    ///
    /// # Errors
    /// The kernel refuses a pipe or the handler.
    pub fn listen(message: &'static str) -> io::Result<Self> {
        let _one_at_a_time = LISTENING.lock();
        let (reader, writer) = io::pipe()?;
        set_interrupt_message(message);
        // Never closed: the handler may write at any time.
        PIPE.store(writer.into_raw_fd(), Ordering::SeqCst);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            handle(signal, noted)?;
        }
        Ok(Self(reader))
    }

    /// Whether one of them has come, for whoever must not wait.
    pub fn have_come() -> bool {
        IS_INTERRUPTED.load(Ordering::SeqCst)
    }

    /// Waits for the first of them.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn wait(&mut self) -> io::Result<()> {
        self.0.read_exact(&mut [0])
    }
}

extern "C" fn noted(signal: libc::c_int) {
    // A terminal that goes away says so more than once, and to everybody: that is nobody's second wish.
    if signal != libc::SIGHUP && INTERRUPTS.fetch_add(1, Ordering::SeqCst) > 0 {
        interrupted(signal);
    }
    if IS_INTERRUPTED.swap(true, Ordering::SeqCst) {
        return;
    }
    // SAFETY: one readable byte; write may be called in a signal handler.
    unsafe { libc::write(PIPE.load(Ordering::SeqCst), [0_u8].as_ptr().cast(), 1) };
}

/// Standard input without line editing and echo; as it was before once this is dropped, or the process is interrupted or
/// suspended (Ctrl-Z). When it continues in the foreground (`fg`), keys are read one by one again, whatever the shell has
/// made of the terminal meanwhile.
#[derive(Debug)]
pub struct Keys(());

impl Keys {
    /// Reads keys from now on; `None` if standard input is no terminal.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn open() -> io::Result<Option<Self>> {
        let input = io::stdin().as_raw_fd();
        // SAFETY: isatty takes a number; `before` is valid for writing, and all-zero is a valid termios.
        let before = unsafe {
            if libc::isatty(input) == 0 {
                return Ok(None);
            }
            let mut before: libc::termios = std::mem::zeroed();
            checked(libc::tcgetattr(input, &raw mut before))?;
            before
        };
        let mut single = before;
        single.c_lflag &= !(libc::ICANON | libc::ECHO);
        TERMINAL.store(Box::into_raw(Box::new(before)), Ordering::SeqCst);
        // SAFETY: an initialised structure.
        checked(unsafe { libc::tcsetattr(input, libc::TCSANOW, &raw const single) })?;
        SINGLE_KEYS.store(Box::into_raw(Box::new(single)), Ordering::SeqCst);
        handle(libc::SIGCONT, continued)?;
        handle(libc::SIGTSTP, suspended)?;
        Ok(Some(Self(())))
    }

    /// Waits for the next key; `None` at the end of the input.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn read() -> io::Result<Option<u8>> {
        let mut key = [0];
        Ok((io::stdin().lock().read(&mut key)? > 0).then_some(key[0]))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        SINGLE_KEYS.store(std::ptr::null_mut(), Ordering::SeqCst);
        restore_terminal();
    }
}

/// Has a signal handled by a function that calls only what a handler may. System calls that it interrupts go on.
fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: a zeroed `sigaction` is a valid empty one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised; the handler calls only what a handler may.
    checked(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Ctrl-Z: the shell gets the terminal as it was, and this process stops; from there it goes on here. Where there is no
/// shell that could continue it, the kernel does not stop it.
extern "C" fn suspended(_signal: libc::c_int) {
    if !SINGLE_KEYS.load(Ordering::SeqCst).is_null() {
        restore_terminal();
    }
    // SAFETY: an all-zero set is valid; all of these may be called in a signal handler, during which the signal is blocked.
    unsafe {
        libc::signal(libc::SIGTSTP, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTSTP);
        libc::raise(libc::SIGTSTP);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
    continued(libc::SIGCONT);
}

/// `fg`, or `bg`: then the terminal belongs to somebody else, and is left alone until `fg` comes.
extern "C" fn continued(_signal: libc::c_int) {
    let _ = handle(libc::SIGTSTP, suspended);
    let single = SINGLE_KEYS.load(Ordering::SeqCst);
    // SAFETY: set once by `Keys::open`, never freed; all of it may be called in a signal handler.
    unsafe {
        if !single.is_null() && libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, single);
        }
    }
}

/// The terminal as it was. May be called in a signal handler.
pub(super) fn restore_terminal() {
    let before = TERMINAL.load(Ordering::SeqCst);
    if !before.is_null() {
        // SAFETY: set once by `Keys::open`, never freed; tcsetattr may be called in a signal handler.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before) };
    }
}

/// Calls `each` with every line of the standard input, without its line feed, on a thread of its own, and `at_end` behind the
/// last one. The thread ends with the process: whoever waits for a terminal cannot be asked to stop.
///
/// # Errors
/// The kernel refuses a thread.
pub fn read_typed_lines(
    each: impl Fn(&[u8]) + Send + 'static,
    at_end: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let read = move || {
        let (mut input, mut line) = (io::stdin().lock(), Vec::new());
        while io::BufRead::read_until(&mut input, b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            each(line.strip_suffix(b"\n").unwrap_or(&line));
            line.clear();
        }
        at_end();
    };
    std::thread::Builder::new().name("pm-typed".into()).spawn(read).map(drop)
}
