//! Through a real sshd on loopback: the right key, no key, an unknown host.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pm::git::{GitTrouble, ReleaseOptions, ReleaseState, Remote, remote_head};

use crate::origin::{Origin, PATIENCE, remote};

fn sshd() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"].map(PathBuf::from).into_iter().find(|path| path.exists())
}

fn key(file: &Path) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).output().unwrap();
    assert!(made.status.success());
    fs::read_to_string(file.with_extension("pub")).unwrap()
}

/// Serves every connection with an sshd of its own, which gets the connection as its standard input. Returns the port.
fn serve(sshd: PathBuf, folder: &Path) -> u16 {
    let config = folder.join("sshd_config");
    let text = format!(
        "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\nAcceptEnv GIT_PROTOCOL\n",
        folder.display()
    );
    fs::write(&config, text).unwrap();
    let log = folder.join("sshd.log");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let fd = OwnedFd::from(stream);
            let output = fd.try_clone().unwrap();
            let mut command = Command::new(&sshd);
            command.arg("-i").arg("-E").arg(&log).arg("-f").arg(&config);
            let mut child = command.stdin(fd).stdout(output).stderr(Stdio::null()).spawn().unwrap();
            std::thread::spawn(move || child.wait());
        }
    });
    port
}

#[test]
fn a_deploy_key_fetches_and_everything_else_is_told() {
    let Some(sshd) = sshd() else {
        panic!("there is no sshd: ./test installs it (openssh-server)");
    };
    let origin = Origin::new();
    let head = origin.commit_file("a", "1");
    let folder = origin.home.path();
    let (host, ours) = (key(&folder.join("host")), key(&folder.join("ours")));
    key(&folder.join("theirs"));
    fs::write(folder.join("authorized"), ours).unwrap();
    let _only_root_needs_it = fs::create_dir_all("/run/sshd");
    let port = serve(sshd, folder);
    fs::write(folder.join("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
    fs::write(folder.join("unknown"), "").unwrap();
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let url = format!("ssh://{}@127.0.0.1:{port}{}", user.trim(), origin.path().display());
    let with = |key: &str, known: &str| Remote {
        ssh_key: Some(folder.join(key)),
        known_hosts: Some(folder.join(known)),
        ..remote(&url)
    };
    let log = || fs::read_to_string(folder.join("sshd.log")).unwrap_or_default();
    let good = with("ours", "known");
    assert_eq!(remote_head(&good, PATIENCE).unwrap_or_else(|error| panic!("{error}\n{}", log())), head);
    let repository = origin.open();
    repository.fetch(&good, &head, PATIENCE, &|| false).unwrap();
    assert_eq!(repository.release(&head, &ReleaseOptions::default(), &|| false).unwrap().state, ReleaseState::Fresh);
    for (remote, trouble) in [
        (with("theirs", "known"), GitTrouble::AuthenticationNeeded),
        (with("ours", "unknown"), GitTrouble::UnknownHostKey),
    ] {
        let error = remote_head(&remote, PATIENCE).unwrap_err();
        assert_eq!(error.trouble, trouble, "{error}\n{}", log());
        assert!(!error.detail.is_empty(), "{error}");
    }
    let mut nothing = good;
    nothing.url = pm::git::RemoteUrl::parse(&url.replace("origin", "nothing")).unwrap();
    assert_eq!(remote_head(&nothing, PATIENCE).unwrap_err().trouble, GitTrouble::NoRepository);
}
