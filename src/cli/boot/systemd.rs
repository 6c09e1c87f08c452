//! A service for systemd → the text of its unit.

use std::fmt::Write as _;
use std::path::Path;

use super::{BootService, UnitScope};

/// Why each line is there stands in docs/guide/service.md.
pub(super) fn unit(service: &BootService) -> String {
    let mut text = format!("[Unit]\nDescription=pm: the apps of {}\n", service.user);
    if service.scope == UnitScope::System {
        text += "Wants=network-online.target\nAfter=network-online.target nss-user-lookup.target\n";
        let _ = writeln!(text, "RequiresMountsFor={}", quoted(service.home.to_str().unwrap_or_default()));
    }
    // A daemon that cannot start is tried again for as long as it takes: a full disk is emptied some day.
    text += "StartLimitIntervalSec=0\n\n[Service]\nType=notify\n";
    if let Some(user) = &service.runs_as {
        let _ = writeln!(text, "User={user}");
    }
    if let Some(home) = service.named_home() {
        let _ = writeln!(text, "Environment={}", quoted(&format!("PM_HOME={}", home.display())));
    }
    let _ = writeln!(text, "ExecStart={} daemon run", command(&service.exe));
    text += "KillMode=process\nOOMPolicy=continue\nRestart=on-failure\nRestartSec=2\nTimeoutStopSec=90\n";
    text += "LimitNOFILE=65536\n\n[Install]\nWantedBy=";
    text += if service.scope == UnitScope::System { "multi-user.target\n" } else { "default.target\n" };
    text
}

/// A word in quotes: `%` and `\` mean something to systemd everywhere.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// A program of `ExecStart`.
fn command(exe: &Path) -> String {
    let exe = exe.to_str().unwrap_or_default();
    if exe.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte)) {
        return exe.to_owned();
    }
    quoted(exe)
}

#[cfg(test)]
mod tests {
    use super::super::{InitSystem, sample};
    use super::*;

    #[test]
    fn the_unit_of_root() {
        let expected = "[Unit]
Description=pm: the apps of root
Wants=network-online.target
After=network-online.target nss-user-lookup.target
RequiresMountsFor=\"/var/lib/pm\"
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/local/bin/pm daemon run
KillMode=process
OOMPolicy=continue
Restart=on-failure
RestartSec=2
TimeoutStopSec=90
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
";
        assert_eq!(unit(&sample()), expected);
    }

    #[test]
    fn the_unit_of_a_user_knows_no_targets_of_the_machine() {
        let service = BootService { scope: UnitScope::User, user: "ann".into(), ..sample() };
        let text = unit(&service);
        assert!(text.contains("WantedBy=default.target\n") && text.contains("the apps of ann\n"), "{text}");
        for word in ["network-online", "nss-user", "multi-user", "User=", "RequiresMountsFor", "Environment="] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn what_differs_from_the_default_is_said() {
        let service = BootService { runs_as: Some("web".into()), home: "/srv/pm".into(), ..sample() };
        let text = unit(&service);
        assert!(text.contains("\nUser=web\nEnvironment=\"PM_HOME=/srv/pm\"\nExecStart="), "{text}");
        assert!(text.contains("\nRequiresMountsFor=\"/srv/pm\"\n"), "{text}");
    }

    #[test]
    fn what_means_something_to_systemd_is_escaped() {
        let cases = [
            ("/opt/pm/bin/pm", "/opt/pm/bin/pm", "\"/opt/pm/bin/pm\""),
            ("/opt/my pm/pm", "\"/opt/my pm/pm\"", "\"/opt/my pm/pm\""),
            ("/a%b;c", "\"/a%%b;c\"", "\"/a%%b;c\""),
            ("/a\"b\\c'd", "\"/a\\\"b\\\\c'd\"", "\"/a\\\"b\\\\c'd\""),
        ];
        for (path, as_command, as_word) in cases {
            assert_eq!((command(Path::new(path)).as_str(), quoted(path).as_str()), (as_command, as_word));
        }
    }

    #[test]
    fn what_systemd_takes_in_no_program_is_refused() {
        for exe in ["/a\"b", "/it's", "/a\\b", "/$HOME/pm"] {
            let service = BootService { exe: exe.into(), ..sample() };
            assert!(service.text(InitSystem::Systemd).is_err(), "{exe}");
            assert!(service.text(InitSystem::Runit).is_ok(), "{exe}");
        }
    }
}
