//! Other users: what root can test with them, and what everybody can.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};

use super::{Output, Sandbox, run};

/// The user that owns nothing.
pub const NOBODY: u32 = 65_534;

/// Whether the tests run as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// The ordinary user of a test: `nobody` where we are root, else ourselves; `flag` is one of `id`.
pub fn ordinary(flag: &str) -> String {
    match (is_root(), flag) {
        (true, "-un") => "nobody".to_owned(),
        (true, _) => NOBODY.to_string(),
        (false, _) => {
            String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned()
        }
    }
}

/// A sandbox that everybody can enter, and in which the ordinary user can work.
pub fn sandbox_of_ordinary_user() -> Sandbox {
    let sandbox = Sandbox::new();
    let root = sandbox.path("").parent().unwrap().to_owned();
    for path in [root.clone(), root.join("shop"), root.join("user")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    sandbox
}

/// `pm …` as the ordinary user.
pub fn pm_as_ordinary_user(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut pm = sandbox.command(args);
    if !is_root() {
        return run(&mut pm);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    command.arg(pm.get_program()).args(pm.get_args()).current_dir(sandbox.path("")).env_clear();
    command.envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}
