//! Running as a service: becoming the foreground process, and notifying the service manager.

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::ptr;

use super::descriptors::close_on_exec_from;
use super::spawn::default_signals;

/// Becomes this program under the same number, in the same session and group, with exactly these variables, the standard
/// streams, and no other descriptor or ignored signal of the caller. Comes back only to say why not.
pub fn become_service(program: &CString, argv: &[CString], envp: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let _old_kernel = close_on_exec_from(libc::STDERR_FILENO + 1);
    let (argv, envp) = (pointers(argv), pointers(envp));
    default_signals(0);
    // SAFETY: all three are null-terminated and live until the call has returned.
    unsafe {
        libc::umask(0o077);
        libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
    }
    io::Error::last_os_error()
}

/// One message as `sd_notify(3)` sends it: `READY=1`, `STOPPING=1`.
///
/// # Errors
/// Nobody listens at `socket` (a path, or `@` and an abstract name).
pub fn notify_service_manager(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_is_told_at_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@{}", path.display());
        let abstract_address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap();
        for (socket, listener) in [
            (path.as_os_str(), UnixDatagram::bind(&path).unwrap()),
            (OsStr::new(&name), UnixDatagram::bind_addr(&abstract_address).unwrap()),
        ] {
            notify_service_manager(socket, "READY=1").unwrap();
            let mut bytes = [0; 20];
            let length = listener.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"READY=1");
        }
        assert!(notify_service_manager(OsStr::new("/nowhere"), "READY=1").is_err());
    }
}
