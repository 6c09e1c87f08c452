//! PM2's keys with all their spellings, and what becomes of those that have no counterpart.

/// One key of PM2.
pub(super) struct Pm2Key {
    /// As PM2 documents it.
    pub name: &'static str,
    /// Further spellings; the camel case of each counts, too.
    aliases: &'static [&'static str],
    /// Why nothing is done about it; `None`: [`super::app`] reads it.
    pub ignored: Option<&'static str>,
}

const fn read(name: &'static str, aliases: &'static [&'static str]) -> Pm2Key {
    Pm2Key { name, aliases, ignored: None }
}

const fn ignored(name: &'static str, aliases: &'static [&'static str], why: &'static str) -> Pm2Key {
    Pm2Key { name, aliases, ignored: Some(why) }
}

const OF_PM2_ITSELF: &str = "ignored: it concerns PM2 itself";
const TRACING: &str = "ignored: `pm` does not instrument apps";
const SOURCE_MAPS: &str = "ignored: Node has `node_args: \"--enable-source-maps\"`";

/// All of them.
const KEYS: &[Pm2Key] = &[
    read("name", &[]),
    read("append_env_to_name", &[]),
    read("script", &["exec", "cmd", "command"]),
    read("args", &[]),
    read("exec_interpreter", &["interpreter"]),
    read("node_args", &["interpreter_args"]),
    read("cwd", &[]),
    read("instances", &[]),
    read("exec_mode", &[]),
    read("namespace", &[]),
    read("env", &[]),
    read("filter_env", &[]),
    read("port", &[]),
    read("instance_var", &[]),
    read("increment_var", &[]),
    read("autostart", &[]),
    read("autorestart", &[]),
    read("stop_exit_codes", &[]),
    read("max_restarts", &[]),
    read("min_uptime", &[]),
    read("restart_delay", &[]),
    read("exp_backoff_restart_delay", &[]),
    read("max_memory_restart", &[]),
    read("cron_restart", &["cron"]),
    read("kill_timeout", &[]),
    read("shutdown_with_message", &[]),
    read("treekill", &[]),
    read("wait_ready", &[]),
    read("listen_timeout", &[]),
    read("watch", &[]),
    read("ignore_watch", &[]),
    read("watch_delay", &[]),
    read("watch_options", &[]),
    read("out_file", &["out", "output", "out_log"]),
    read("error_file", &["error", "err", "err_file", "err_log"]),
    read("disable_logs", &[]),
    read("merge_logs", &["combine_logs"]),
    read("log_file", &["log"]),
    read("time", &[]),
    read("log_date_format", &[]),
    read("log_type", &[]),
    read("uid", &["user"]),
    read("gid", &[]),
    ignored("name_prefix", &[], "ignored, as PM2 does"),
    ignored("pid_file", &["pid"], "ignored: `pm` writes no pid files; `pm list --json` has the pids"),
    ignored("kill_retry_time", &[], "ignored: `pm` does not poll for the end of a process"),
    ignored("source_map_support", &[], SOURCE_MAPS),
    ignored("disable_source_map_support", &[], SOURCE_MAPS),
    ignored("post_update", &[], "ignored: run these commands before `pm apply`"),
    ignored("vizion", &[], OF_PM2_ITSELF),
    ignored("vizion_running", &[], OF_PM2_ITSELF),
    ignored("pmx", &[], OF_PM2_ITSELF),
    ignored("automation", &[], OF_PM2_ITSELF),
    ignored("km_link", &[], OF_PM2_ITSELF),
    ignored("io", &[], OF_PM2_ITSELF),
    ignored("force", &[], OF_PM2_ITSELF),
    ignored("write", &[], OF_PM2_ITSELF),
    ignored("execute_command", &[], OF_PM2_ITSELF),
    ignored("install_url", &[], OF_PM2_ITSELF),
    ignored("username", &[], OF_PM2_ITSELF),
    ignored("windowsHide", &[], OF_PM2_ITSELF),
    ignored("trace", &[], TRACING),
    ignored("disable_trace", &[], TRACING),
    ignored("v8", &[], TRACING),
    ignored("event_loop_inspector", &[], TRACING),
    ignored("deep_monitoring", &[], TRACING),
    // Not PM2's, but written into its files.
    ignored("env_file", &[], "ignored, as PM2 does: `env_file` in an ecosystem.toml is read"),
    ignored("max_size", &[], "ignored: logs are rotated by size; see `pm explain log_rotate`"),
    ignored("retain", &[], "ignored: logs are rotated by size; see `pm explain log_rotate`"),
];

/// The key that is spelled so.
pub(super) fn find(written: &str) -> Option<&'static Pm2Key> {
    KEYS.iter().find(|key| key.spellings().any(|spelling| spelling == written || camel_case(spelling) == written))
}

impl Pm2Key {
    /// All spellings, the one that counts most first.
    fn spellings(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.aliases.iter().copied())
    }

    /// How much a spelling counts where several are given: the lower, the more.
    pub fn rank(&self, written: &str) -> usize {
        self.spellings().position(|spelling| spelling == written).unwrap_or(usize::MAX)
    }
}

/// `max_memory_restart` → `maxMemoryRestart`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found_and_belongs_to_one_key() {
        for key in KEYS {
            for spelling in key.spellings() {
                assert_eq!(find(spelling).unwrap().name, key.name, "{spelling}");
                assert_eq!(find(&camel_case(spelling)).unwrap().name, key.name, "{spelling}");
            }
        }
        assert_eq!(find("maxMemoryRestart").unwrap().name, "max_memory_restart");
        assert_eq!(find("interpreterArgs").unwrap().name, "node_args");
        assert!(find("max-restarts").is_none());
    }
}
