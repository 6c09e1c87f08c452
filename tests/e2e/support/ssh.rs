//! A real sshd on loopback, with keys and a configuration of its own, run as whoever runs the tests.

use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::is_root;

/// Where distributions have it; it has to be called by its whole path.
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"];

/// Listens on a port that the kernel chose, and gives each connection an sshd.
pub struct SshServer {
    folder: TempDir,
    port: u16,
    state: Arc<ServerState>,
}

#[derive(Default)]
struct ServerState {
    is_over: AtomicBool,
    connections: Mutex<Vec<(TcpStream, Child)>>,
}

impl SshServer {
    /// A server where `pm` is the one under test.
    pub fn with_pm() -> Self {
        let pm = Path::new(env!("CARGO_BIN_EXE_pm")).parent().unwrap();
        Self::with_path(&pm.display().to_string())
    }

    /// A server whose commands find programs in this folder, besides those of the system.
    pub fn with_path(folder_of_pm: &str) -> Self {
        let program = PROGRAMS.iter().find(|path| Path::new(path).exists()).expect("sshd: `./test` installs it");
        if is_root() {
            // Where root's sshd confines its unprivileged half; else made by the service.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let folder = TempDir::with_prefix("pm-ssh-").unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host_key", "user_key", "other_key"] {
            let args = ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &at(key)];
            assert!(Command::new("ssh-keygen").args(args).status().unwrap().success());
        }
        fs::copy(at("user_key.pub"), at("authorized_keys")).unwrap();
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\nLogLevel VERBOSE\n\
             SetEnv PATH={folder_of_pm}:/usr/bin:/bin HOME={}\n",
            at("host_key"),
            at("authorized_keys"),
            at("nobody-home"),
        );
        fs::write(at("sshd_config"), config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { folder, port, state: Arc::default() };
        server.trust("host_key", "user_key");
        let (state, args) = (
            Arc::clone(&server.state),
            ["-i".into(), "-f".into(), server.at("sshd_config"), "-E".into(), server.at("log")],
        );
        let program = PathBuf::from(program);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if state.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let end = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
                let child = Command::new(&program)
                    .args(&args)
                    .stdin(end())
                    .stdout(end())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                state.connections.lock().unwrap().push((stream, child));
            }
        });
        server
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The client believes in this key of the server, and shows this one of its own.
    fn trust(&self, host_key: &str, user_key: &str) {
        let public = fs::read_to_string(self.at(&format!("{host_key}.pub"))).unwrap();
        fs::write(self.at("known_hosts"), format!("[127.0.0.1]:{} {public}", self.port)).unwrap();
        self.configure(user_key);
        fs::create_dir_all(self.at("bin")).unwrap();
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{}'\nexec /usr/bin/ssh -F '{}' \"$@\"\n",
            self.at("calls"),
            self.at("ssh_config"),
        );
        fs::write(self.at("bin/ssh"), script).unwrap();
        fs::set_permissions(self.at("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn configure(&self, user_key: &str) {
        let config = format!(
            "BatchMode yes\nStrictHostKeyChecking yes\nGlobalKnownHostsFile /dev/null\nUserKnownHostsFile {}\n\
             IdentitiesOnly yes\nIdentityAgent none\nIdentityFile {}\n",
            self.at("known_hosts"),
            self.at(user_key),
        );
        fs::write(self.at("ssh_config"), config).unwrap();
    }

    /// From now on the client shows a key that the server does not know.
    pub fn use_other_key(&self) {
        self.configure("other_key");
    }

    /// From now on the client knows no key of the server.
    pub fn forget_host(&self) {
        fs::write(self.at("known_hosts"), "").unwrap();
    }

    /// From now on the client knows another key of the server.
    pub fn change_host(&self) {
        self.trust("other_key", "user_key");
    }

    /// The host, with this `PM_HOME` there.
    pub fn url(&self, home: &Path) -> String {
        format!("ssh://127.0.0.1:{}{}", self.port, home.display())
    }

    /// Has a command use this client's keys; everything that `ssh` is called with is noted.
    pub fn lend(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.at("bin")));
    }

    /// The words of all calls of `ssh`, one a line.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.at("calls")).unwrap_or_default()
    }

    /// How many ends of remote commands it has.
    pub fn ends(&self) -> usize {
        let folder = self.folder.path().display().to_string();
        let is_end = |pid: PathBuf| {
            let variables = fs::read(pid.join("environ")).unwrap_or_default();
            let line = fs::read(pid.join("cmdline")).unwrap_or_default();
            line.ends_with(b"\0__remote\0") && String::from_utf8_lossy(&variables).contains(&folder)
        };
        fs::read_dir("/proc").unwrap().flatten().filter(|entry| is_end(entry.path())).count()
    }

    /// Cuts every connection, as a network that goes away.
    pub fn cut(&self) {
        for (stream, _) in self.state.connections.lock().unwrap().iter() {
            let _it_may_be_closed = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        let _wakes_the_listener = TcpStream::connect(("127.0.0.1", self.port));
        if thread::panicking() {
            eprintln!("-- sshd\n{}", fs::read_to_string(self.at("log")).unwrap_or_default());
        }
        self.cut();
        for (_, mut child) in self.state.connections.lock().unwrap().drain(..) {
            let _ended = child.wait();
        }
    }
}
