//! A terminal of its own for a command, and everything that was written to it.

use std::io::{Read, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The other side of a terminal.
pub struct Terminal {
    /// Until the window is closed.
    keys: Option<std::fs::File>,
    said: Arc<Mutex<Vec<u8>>>,
    is_over: Arc<AtomicBool>,
    /// Nobody has the terminal open any more, and what was written to it was read.
    is_read: Arc<AtomicBool>,
}

impl Terminal {
    /// Runs `command` with this terminal as standard output and error; as standard input, too, if it is to have keys.
    pub fn start(command: &mut Command, has_keys: bool) -> (Self, Child) {
        Self::sized(command, has_keys, 200, 50)
    }

    /// The same, so many columns wide and rows high.
    pub fn sized(command: &mut Command, has_keys: bool, columns: u16, rows: u16) -> (Self, Child) {
        let (mut ours, mut theirs) = (0, 0);
        let mut size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let nothing = std::ptr::null_mut();
        // SAFETY: two numbers are written, the size is read; the pair belongs to us.
        let (ours, theirs) = unsafe {
            let opened = libc::openpty(&raw mut ours, &raw mut theirs, nothing, std::ptr::null_mut(), &raw mut size);
            assert_eq!(opened, 0, "a terminal can be had");
            libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(theirs, libc::F_SETFD, libc::FD_CLOEXEC);
            (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
        };
        let copy = || Stdio::from(theirs.try_clone().unwrap());
        command.stdout(copy()).stderr(copy()).env("TERM", "xterm");
        if has_keys {
            command.stdin(copy());
        }
        let child = command.spawn().unwrap();
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let keys = has_keys.then(|| ours.try_clone().unwrap().into());
        let terminal = Self { keys, said: Arc::default(), is_over: Arc::default(), is_read: Arc::default() };
        let (said, is_over) = (Arc::clone(&terminal.said), Arc::clone(&terminal.is_over));
        let is_read = Arc::clone(&terminal.is_read);
        thread::spawn(move || {
            read(ours, &said, &is_over);
            is_read.store(true, Ordering::SeqCst);
        });
        (terminal, child)
    }

    /// Types this.
    pub fn type_text(&mut self, text: &str) {
        self.keys.as_mut().expect("it has keys").write_all(text.as_bytes()).unwrap();
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Everything that a command has said which has ended: its last words may still be on their way then.
    pub fn whole_text(&self) -> String {
        super::wait_until("the terminal is read to its end", super::SOON, || self.is_read.load(Ordering::SeqCst));
        self.text()
    }

    /// Whether keys are read line by line, as a shell has it.
    pub fn is_by_line(&self) -> bool {
        self.mode().c_lflag & libc::ICANON != 0
    }

    /// Makes it read line by line, with echo: what a shell may do while a command is stopped.
    pub fn read_by_line(&self) {
        let mut mode = self.mode();
        mode.c_lflag |= libc::ICANON | libc::ECHO;
        let side = self.keys.as_ref().expect("it has keys").as_raw_fd();
        // SAFETY: an initialised structure.
        assert_eq!(unsafe { libc::tcsetattr(side, libc::TCSANOW, &raw const mode) }, 0);
    }

    fn mode(&self) -> libc::termios {
        let side = self.keys.as_ref().expect("it has keys").as_raw_fd();
        // SAFETY: an all-zero structure is valid, and is written.
        unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(side, &raw mut mode), 0);
            mode
        }
    }

    /// Closes the window.
    pub fn hang_up(&mut self) {
        self.keys = None;
        self.is_over.store(true, Ordering::SeqCst);
    }
}

fn read(side: OwnedFd, said: &Mutex<Vec<u8>>, is_over: &AtomicBool) {
    let fd = side.as_raw_fd();
    let mut from = std::fs::File::from(side);
    let mut buffer = [0; 4096];
    while !is_over.load(Ordering::SeqCst) {
        let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid entry.
        if unsafe { libc::poll(&raw mut entry, 1, 20) } == 0 {
            continue;
        }
        match from.read(&mut buffer) {
            Ok(count @ 1..) => said.lock().unwrap().extend_from_slice(&buffer[..count]),
            Ok(0) | Err(_) => return,
        }
    }
}
