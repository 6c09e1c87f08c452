//! One app as declared, after every default, profile and variable has been settled.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod log_policy;

pub use log_policy::{LogForm, LogFormat, LogPolicy, OnLogFull, Rotation};

use super::{
    AppId, AppName, AutoPort, Bytes, ClusterPolicy, CronPolicy, Digest, ExecMode, Exit, Health, Hooks, Limits,
    ListenAccess, ListenAddress, Millis, ProjectName, Ready, StdinMode, UpdatePolicy, UpdateStrategy, WatchPolicy,
    masked,
};

/// A declared app. No field means "default": `ecosystem` has filled all of them in.
///
/// Field names are the keys of the file; what a change of one costs stands in [`super::KEYS`]. The groups follow that:
/// everything in [`Run`] needs a new process when it changes, the others (but `kind`) are followed while it is alive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct App {
    /// Who owns it.
    pub project: ProjectName,
    /// Its name inside the project.
    pub name: AppName,
    /// Older names of the same app: `old` or `project:old`. Renames without a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_from: Vec<AppId>,
    /// A label for selecting several apps.
    pub namespace: String,
    /// How many copies; `None` = the file has no opinion (an operator's `pm scale` stays, else 1).
    pub instances: Option<u32>,
    /// Whether an apply starts it at all.
    pub autostart: bool,
    /// An apply never deletes it.
    pub protect: bool,
    /// Service or task.
    #[serde(default)]
    pub kind: Kind,
    /// Apps of the same project that come first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<AppName, Condition>,
    /// What happens when one of them gets a new process.
    #[serde(default)]
    pub on_dependency_restart: OnDependencyRestart,
    /// What is executed, and in which environment.
    pub run: Run,
    /// What happens when it ends on its own.
    pub restart: RestartPolicy,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// Where its output goes.
    pub logs: LogPolicy,
    /// When a new process is ready; `None` = as soon as it is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Whether it is still good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How processes are replaced.
    #[serde(default)]
    pub update: UpdatePolicy,
    /// Which changed files restart it.
    #[serde(default)]
    pub watching: WatchPolicy,
    /// At which times it is restarted.
    #[serde(default)]
    pub schedule: CronPolicy,
    /// Restart when the whole tree uses more memory than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_restart: Option<Bytes>,
    /// Commands at certain points of its life.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
}

impl App {
    /// (project, name).
    pub fn id(&self) -> AppId {
        AppId::new(self.project.clone(), self.name.clone())
    }

    /// Which process comes first when one replaces another. A new process beside the old one is possible
    /// where nothing is fought over: with sockets that both inherit, or where the file says so.
    pub fn update_strategy(&self) -> UpdateStrategy {
        match self.update.strategy {
            Some(strategy) => strategy,
            None if self.is_cluster() || !self.run.listen.is_empty() => UpdateStrategy::Rolling,
            None => UpdateStrategy::Restart,
        }
    }

    /// Whether some socket of the one cannot be opened while the other has its own.
    pub fn shuts_out(&self, other: &Self) -> bool {
        self.run.listen.iter().any(|address| other.run.listen.iter().any(|theirs| address.excludes(theirs)))
    }

    /// Whether its copies are workers of a Node cluster.
    pub fn is_cluster(&self) -> bool {
        self.run.exec_mode == ExecMode::Cluster
    }

    /// Whether it runs at its times only: nothing else starts it on its own.
    pub fn is_timed_task(&self) -> bool {
        self.kind == Kind::Task && self.schedule.cron_restart.is_some()
    }

    /// Stands in for the spec of a process that lives although the state which held its spec was lost. Such an app is
    /// never started again on its own: nobody knows what to start.
    pub fn with_lost_spec(id: AppId) -> Self {
        Self {
            project: id.project,
            name: id.name,
            moved_from: Vec::new(),
            namespace: String::new(),
            instances: None,
            autostart: false,
            protect: false,
            kind: Kind::Service,
            depends_on: BTreeMap::new(),
            on_dependency_restart: OnDependencyRestart::Ignore,
            run: Run::default(),
            restart: RestartPolicy { restart: RestartWhen::Never, ..RestartPolicy::default() },
            stop: StopPolicy::default(),
            logs: LogPolicy::default(),
            ready: None,
            health: None,
            update: UpdatePolicy::default(),
            watching: WatchPolicy::default(),
            schedule: CronPolicy::default(),
            max_memory_restart: None,
            hooks: Hooks::default(),
        }
    }

    /// Whether this only stands in for a spec that was lost: every declared app has something to execute.
    pub fn is_spec_lost(&self) -> bool {
        self.run.script.is_none() && self.run.command.is_empty()
    }
}

/// Whether an app is meant to stay or to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs until it is stopped.
    #[default]
    Service,
    /// Runs to completion; exit code 0 = done.
    Task,
}

/// What has to have happened to a dependency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its process was started.
    Started,
    /// Its process is ready.
    Ready,
    /// It has ended in a way that its policy calls done.
    Completed,
}

impl Condition {
    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Completed => "completed",
        }
    }
}

/// What happens to an app when something that it depends on gets a new process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDependencyRestart {
    /// The app keeps running.
    #[default]
    Ignore,
    /// It is restarted, too.
    Restart,
}

/// What is executed. Any change needs a new process.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// One program or file: absolute, or a bare word that is looked up on PATH. Empty if `command` is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The words of `command`, split as a shell would; with `shell` one single text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Template>,
    /// Run `command` by `sh -c`.
    #[serde(default)]
    pub shell: bool,
    /// Arguments after the script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Template>,
    /// Program that runs the script: a bare word or a path; `None` runs the file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Arguments before the script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interpreter_args: Vec<Template>,
    /// Whether the copies are workers of a Node cluster.
    #[serde(default, skip_serializing_if = "ExecMode::is_fork")]
    pub exec_mode: ExecMode,
    /// How that cluster works.
    #[serde(default, skip_serializing_if = "ClusterPolicy::is_default")]
    pub cluster: ClusterPolicy,
    /// Working folder, symlinks resolved when the file was read.
    pub cwd: PathBuf,
    /// Variables from `inherit`, env files, `env` and profile; the recorded base lies below them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Template>,
    /// `PORT` of slot 0; slot n gets `port + n`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Sockets that are opened for it and passed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<ListenAddress>,
    /// What they are called, and who may connect to the Unix sockets among them.
    #[serde(flatten)]
    pub access: ListenAccess,
    /// The variables by which an instance knows its slot.
    #[serde(flatten)]
    pub slot_variables: SlotVariables,
    /// What it reads from its standard input.
    #[serde(default, skip_serializing_if = "StdinMode::is_null")]
    pub stdin: StdinMode,
    /// User name or number to run as; `None` = the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Group name or number to run as; `None` = the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// File mode mask; `None` = 022.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Files whose contents belong to the spec, by absolute path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restart_on: BTreeMap<PathBuf, Digest>,
}

/// The variables of an instance that depend on its slot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SlotVariables {
    /// Name of the variable that tells an instance its slot (PM2's `NODE_APP_INSTANCE`).
    pub instance_var: String,
    /// A variable of `env` that grows by one per slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment_var: Option<String>,
    /// `port` is not a number of the file: a free one is chosen when the app is declared, and kept.
    #[serde(default, rename = "port.auto", skip_serializing_if = "Option::is_none")]
    pub auto_port: Option<AutoPort>,
}

impl Run {
    /// The file mode mask where the file says nothing.
    pub const UMASK: u32 = 0o022;
    /// The mode of the files of its Unix sockets where the file says nothing.
    pub const SOCKET_MODE: u32 = 0o660;

    /// Whether its copies have ports of their own, chosen already or not.
    pub fn has_port(&self) -> bool {
        self.port.is_some() || self.slot_variables.auto_port.is_some()
    }
}

/// When an app that ended on its own is started again, and how patiently.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// After which exits.
    pub restart: RestartWhen,
    /// Exit codes that count as done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_exit_codes: Vec<i32>,
    /// Unstable starts in a row before `errored`; `None` = never give up.
    pub max_restarts: Option<u32>,
    /// Uptime after which a start counts as stable.
    pub min_uptime: Millis,
    /// Fixed wait before every restart; 0 = use the backoff.
    pub restart_delay: Millis,
    /// First step of the growing wait between starts: ×1.5 up to 60 s, after a few restarts that come at once.
    pub exp_backoff_restart_delay: Millis,
}

impl RestartPolicy {
    /// Whether an app that ended so has done its work.
    pub fn is_done(&self, exit: Exit) -> bool {
        let is_listed = matches!(exit, Exit::Code(code) if self.stop_exit_codes.contains(&code));
        is_listed || (self.restart != RestartWhen::Always && exit.is_success())
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            restart: RestartWhen::Always,
            stop_exit_codes: Vec::new(),
            max_restarts: None,
            min_uptime: Millis::seconds(10),
            restart_delay: Millis(0),
            exp_backoff_restart_delay: Millis(100),
        }
    }
}

/// After which exits an app is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWhen {
    /// After every exit.
    Always,
    /// After a non-zero code or a signal.
    OnFailure,
    /// An exit is final, whatever its code.
    Never,
}

/// How an app is stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StopPolicy {
    /// Number of the signal that asks it to end.
    pub kill_signal: i32,
    /// Time until SIGKILL.
    pub kill_timeout: Millis,
    /// Who gets the signal.
    pub stop_scope: StopScope,
    /// Ask a Node app by the message `shutdown` instead of a signal.
    #[serde(default)]
    pub shutdown_with_message: bool,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            kill_signal: 15,
            kill_timeout: Millis::seconds(10),
            stop_scope: StopScope::Tree,
            shutdown_with_message: false,
        }
    }
}

/// Who gets the stop signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopScope {
    /// The process and everything that it started.
    Tree,
    /// The process only; what it started is killed once it has ended.
    Process,
}

/// A text with values that only an instance knows: `${PORT}`, `${PM_INSTANCE}`.
///
/// Everything else was settled when the file was read. A literal dollar stands as `$$` inside.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(String);

impl Template {
    /// Wraps text that holds no variables at all.
    pub fn literal(text: &str) -> Self {
        Self(text.replace('$', "$$"))
    }

    /// Takes text in which dollars are doubled already and `${PORT}` / `${PM_INSTANCE}` may stand.
    pub fn prepared(text: String) -> Self {
        Self(text)
    }

    /// The text for one instance. A `${PORT}` without a port stays as written.
    pub fn fill(&self, slot: u32, port: Option<u16>) -> String {
        let port = port.map(|base| (u32::from(base) + slot).to_string());
        self.walk(|name| match name {
            "PM_INSTANCE" => Some(slot.to_string()),
            "PORT" => port.clone(),
            _ => None,
        })
    }

    /// Whether the text differs between instances.
    pub fn is_per_instance(&self) -> bool {
        let mut found = false;
        self.walk(|_| {
            found = true;
            None
        });
        found
    }

    /// The text as a user would write it: `$$` for a dollar, placeholders kept.
    pub fn source(&self) -> &str {
        &self.0
    }

    /// The text with its secrets, literal dollars single: for a file, never for a user.
    pub fn revealed(&self) -> String {
        self.walk(|_| None)
    }

    fn walk(&self, mut value: impl FnMut(&str) -> Option<String>) -> String {
        let mut out = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('$') {
                out.push('$');
                rest = tail;
            } else if let Some((name, tail)) = after.strip_prefix('{').and_then(|t| t.split_once('}')) {
                match value(name) {
                    Some(text) => out.push_str(&text),
                    None => out.push_str(&rest[at..rest.len() - tail.len()]),
                }
                rest = tail;
            } else {
                out.push('$');
                rest = after;
            }
        }
        out.push_str(rest);
        out
    }
}

impl fmt::Display for Template {
    /// Literal dollars single, placeholders as written, secrets hidden: for users.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&masked(&self.revealed()))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*masked(&self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_knows_its_instance_and_nothing_else() {
        let text = Template::prepared("http://127.0.0.1:${PORT}/${PM_INSTANCE}/$$HOME/${X}".into());
        assert_eq!(text.fill(2, Some(8080)), "http://127.0.0.1:8082/2/$HOME/${X}");
        assert_eq!(text.to_string(), "http://127.0.0.1:${PORT}/${PM_INSTANCE}/$HOME/${X}");
        assert!(text.is_per_instance());
        assert!(!Template::literal("${PORT}").is_per_instance());
        assert_eq!(Template::literal("a$b$$").fill(0, None), "a$b$$");
    }
}
