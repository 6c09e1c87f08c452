//! Whether a program can be relied upon at boot: its path must still mean the same then.

use std::path::Path;

/// Why a path does not go into a file of the init system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Unfit {
    /// A whole sentence without its full stop.
    pub message: String,
    pub hint: Option<String>,
}

impl Unfit {
    pub(super) fn unprintable(path: &Path) -> Self {
        let path = path.to_string_lossy().escape_default().to_string();
        let message = format!("the path `{path}` holds characters that no file of an init system can hold");
        Self { message, hint: Some("move it, or use a link to it".to_owned()) }
    }
}

/// Folders that are emptied at boot, or belong to a process.
const PASSING: [&str; 5] = ["/tmp", "/var/tmp", "/run", "/dev", "/proc"];

/// Folders of tools that keep several versions of a language side by side: what is in them goes with the version.
const VERSIONED: [&str; 18] = [
    ".nvm",
    ".fnm",
    "fnm",
    "fnm_multishells",
    ".volta",
    ".asdf",
    ".nodenv",
    ".nodebrew",
    ".nvs",
    ".n",
    "n",
    ".mise",
    "mise",
    ".rtx",
    ".rbenv",
    ".pyenv",
    ".proto",
    ".vfox",
];

/// Why a program should not be started at boot by this path, if so.
pub(in crate::cli) fn unfit(exe: &Path) -> Option<Unfit> {
    let names: Vec<&str> = exe.iter().filter_map(|name| name.to_str()).collect();
    let shown = exe.display();
    let install =
        || format!("install it first: `install -m 755 {shown} /usr/local/bin/pm`; `--exe PATH` names another one");
    let why = if shown.to_string().ends_with(" (deleted)") {
        return Some(Unfit {
            message: format!("this `pm` was replaced or deleted since it was started (`{shown}`)"),
            hint: Some("run the command again, with the new one".to_owned()),
        });
    } else if names.windows(2).any(|pair| pair[0] == "target" && ["debug", "release"].contains(&pair[1]))
        || names.windows(3).any(|names| names[0] == "target" && ["debug", "release"].contains(&names[2]))
    {
        "in a build folder".to_owned()
    } else if let Some(folder) = PASSING.iter().find(|folder| exe.starts_with(folder)) {
        format!("in `{folder}`, which does not survive a reboot")
    } else if let Some(name) = names.iter().rev().skip(1).find(|name| VERSIONED.contains(name)) {
        format!("below `{name}`, the folder of a version manager: the next version would be somewhere else")
    } else {
        return None;
    };
    Some(Unfit { message: format!("`{shown}` is {why}"), hint: Some(install()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_will_not_last_is_not_started_at_boot() {
        for good in [
            "/usr/local/bin/pm",
            "/usr/bin/pm",
            "/home/ann/.local/bin/pm",
            "/home/ann/.cargo/bin/pm",
            "/opt/target/pm",
            "/home/n-people/pm",
        ] {
            assert_eq!(unfit(Path::new(good)), None, "{good}");
        }
        for (bad, word) in [
            ("/tmp/pm", "`/tmp`"),
            ("/var/tmp/x/pm", "`/var/tmp`"),
            ("/proc/self/exe", "`/proc`"),
            ("/run/user/1000/fnm_multishells/12_3/bin/pm", "`/run`"),
            ("/home/ann/pm/target/debug/pm", "build folder"),
            ("/home/ann/pm/target/release/pm", "build folder"),
            ("/home/ann/pm/target/x86_64-unknown-linux-musl/release/pm", "build folder"),
            ("/home/ann/.nvm/versions/node/v22.1.0/bin/pm", "`.nvm`"),
            ("/home/ann/.asdf/installs/nodejs/22/bin/pm", "`.asdf`"),
            ("/home/ann/.volta/bin/pm", "`.volta`"),
            ("/home/ann/.local/share/fnm/node-versions/v22/installation/bin/pm", "`fnm`"),
            ("/home/ann/.local/share/mise/installs/node/22/bin/pm", "`mise`"),
            ("/usr/local/n/versions/node/22/bin/pm", "`n`"),
            ("/usr/local/bin/pm (deleted)", "replaced or deleted"),
        ] {
            let found = unfit(Path::new(bad)).unwrap_or_else(|| panic!("{bad} is taken"));
            assert!(found.message.contains(word) && found.hint.is_some(), "{bad}: {found:?}");
        }
    }
}
