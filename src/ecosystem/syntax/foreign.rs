//! Files of other tools that were given by mistake: what they are, and what to do with them.

use std::path::Path;

use super::super::tree::Node;

/// What a file is instead of an ecosystem file.
pub(super) struct Foreign {
    pub what: &'static str,
    pub hint: &'static str,
}

const COMPOSE: Foreign = Foreign {
    what: "a compose file",
    hint: "`pm import FILE` makes an ecosystem.toml of it: each service that names its `command` becomes an app",
};
const PROCFILE: Foreign =
    Foreign { what: "a Procfile", hint: "`pm import FILE` makes an ecosystem.toml of it: each line becomes an app" };
const UNIT: Foreign = Foreign {
    what: "a systemd unit",
    hint: "write an ecosystem.toml: `ExecStart` becomes `command`, `WorkingDirectory` `cwd`, `Environment` `env`, `User` `user`",
};
const PM2: Foreign = Foreign {
    what: "a program, such as PM2's ecosystem.config.js",
    hint: "name it ecosystem.config.js: then it is read as PM2 reads it; `pm import` makes an ecosystem.toml of it",
};

/// Known by its name or by how it begins.
pub(super) fn of_text(path: &Path, text: &str) -> Option<Foreign> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = super::extension(path);
    let is_line = |line: &str| text.lines().any(|found| found.trim() == line);
    match extension {
        "js" | "cjs" | "mjs" | "ts" => Some(PM2),
        "service" | "socket" | "timer" => Some(UNIT),
        _ if name.starts_with("Procfile") => Some(PROCFILE),
        _ if is_line("[Unit]") || (is_line("[Service]") && text.contains("ExecStart")) => Some(UNIT),
        _ if text.trim_start().starts_with("module.exports") => Some(PM2),
        _ => None,
    }
}

const PM2_DATA: Foreign = Foreign {
    what: "a configuration of PM2",
    hint: "name it pm2.json or pm2.yaml: then it is read as PM2 reads it; `pm import` makes an ecosystem.toml of it",
};
/// Keys of apps that only PM2 has: none of ours, in any spelling.
const PM2_KEYS: [&str; 6] = ["combine_logs", "exec_interpreter", "pid_file", "pmx", "treekill", "vizion"];

/// Known by its keys. Files of PM2 are data only in JSON and YAML.
pub(super) fn of_tree(path: &Path, tree: &Node) -> Option<Foreign> {
    let has = |key: &str| tree.get(key).is_some();
    if has("services") && !has("apps") {
        return Some(COMPOSE);
    }
    let apps = tree.get("apps").and_then(Node::as_list)?;
    let is_of_pm2 = |app: &Node| PM2_KEYS.iter().any(|key| app.get(key).is_some());
    (super::extension(path) != "toml" && apps.iter().any(is_of_pm2)).then_some(PM2_DATA)
}

#[cfg(test)]
mod tests {
    use super::PM2_KEYS;
    use crate::model::KEYS;

    #[test]
    fn a_key_by_which_pm2_is_known_is_none_of_ours() {
        let ours: Vec<&str> = KEYS.iter().flat_map(crate::model::Key::names).collect();
        for key in PM2_KEYS {
            assert!(!ours.contains(&key), "{key}");
        }
    }
}
