//! An app `web` whose copies are a cluster, and who asks it.

use std::net::SocketAddr;

use super::{Node, SOON, Sandbox, Target, fixture, free_port, wait_for};

/// How a cluster is set up; [`Cluster::toml`] is the app of it.
#[derive(Clone, Debug)]
pub struct Cluster {
    program: String,
    script: String,
    instances: u32,
    env: Vec<(String, String)>,
    rest: String,
    /// Where it listens, unless told otherwise.
    pub target: Target,
}

impl Cluster {
    /// Three copies of `worker.cjs` at a free port.
    pub fn new(node: &Node) -> Self {
        Self::of(node, &fixture("worker.cjs"))
    }

    /// Three copies of this script, which has `LISTEN` and `PORT` in its environment.
    pub fn of(node: &Node, script: &str) -> Self {
        let port = free_port();
        let cluster = Self {
            program: node.program.display().to_string(),
            script: script.to_owned(),
            instances: 3,
            env: Vec::new(),
            rest: String::new(),
            target: Target::Tcp(SocketAddr::from(([127, 0, 0, 1], port))),
        };
        cluster.env("DELAY", "0").env("PORT", &port.to_string()).env("LISTEN", &format!("{{\"port\":{port}}}"))
    }

    /// One copy of these lines.
    pub fn inline(node: &Node, sandbox: &Sandbox, lines: &str) -> Self {
        let script = sandbox.file("app.js", lines);
        Self::of(node, &script.display().to_string()).instances(1)
    }

    /// So many copies.
    pub fn instances(mut self, count: u32) -> Self {
        self.instances = count;
        self
    }

    /// A variable of the app.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Further keys of the app.
    pub fn rest(mut self, keys: &str) -> Self {
        self.rest.push_str(keys);
        self.rest.push('\n');
        self
    }

    /// It listens at a path in the project folder.
    pub fn at_path(mut self, sandbox: &Sandbox, name: &str) -> Self {
        let path = sandbox.path(name);
        let listen = format!("{{\"path\":{:?}}}", path.display().to_string());
        self.target = Target::Unix(path);
        self.env("LISTEN", &listen)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        match &self.target {
            Target::Tcp(address) => address.port(),
            Target::Unix(path) => panic!("{} has no port", path.display()),
        }
    }

    /// The app in an ecosystem file. Unless `rest` says so, a new process is good once it listens.
    pub fn toml(&self) -> String {
        let env = self.env.iter().map(|(name, value)| format!("{name} = '{value}'")).collect::<Vec<_>>().join(", ");
        let update = if self.rest.contains("update") { "" } else { "update = { min_healthy_time = \"0s\" }\n" };
        format!(
            "[[apps]]\nname = \"web\"\nscript = {:?}\ninterpreter = {:?}\ninstances = {}\nexec_mode = \"cluster\"\n\
             env = {{ {env} }}\n{update}{}",
            self.script, self.program, self.instances, self.rest
        )
    }

    /// Applies it in `sandbox`.
    #[track_caller]
    pub fn apply(&self, sandbox: &Sandbox) {
        sandbox.ecosystem(&self.toml());
        sandbox.pm(&["apply"]).ok();
    }
}

/// Waits until the copy of this slot has printed a line that begins so; the rest of the last one.
#[track_caller]
pub fn said(sandbox: &Sandbox, slot: u32, beginning: &str) -> String {
    wait_for(&format!("web/{slot} says `{beginning}`"), SOON, || {
        let log = String::from_utf8_lossy(&sandbox.log_text("web", "out", slot)).into_owned();
        let complete = log.rfind('\n').map_or("", |end| &log[..end]);
        complete.lines().rev().find_map(|line| line.strip_prefix(beginning).map(|rest| rest.trim().to_owned()))
    })
}
