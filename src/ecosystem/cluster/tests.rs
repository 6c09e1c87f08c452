//! Which apps can be a cluster, and what a user reads about those that cannot.

use crate::ecosystem::fake::{World, source};
use crate::ecosystem::{Diagnostic, DiagnosticSeverity, ReadOptions, Reading, read};
use crate::model::{App, ClusterPolicy, ExecMode, Millis, Probe, Ready, Scheduling};

/// The usual machine, with what a Node project has besides.
fn world() -> World {
    let programs = ["nodejs", "deno", "bun", "npm", "npx", "yarn", "pnpm", "tsx", "ts-node", "nodemon", "env", "nice"];
    let world = programs.iter().fold(World::usual(), |world, name| world.file(&format!("/bin/{name}"), "", true));
    world
        .file("/opt/node-24/bin/node", "", true)
        .file("/srv/shop/tool", "#!/usr/bin/env node\n", true)
        .file("/srv/shop/split", "#!/usr/bin/env -S node --import tsx\n", true)
        .file("/srv/shop/watched", "#!/usr/bin/env -S node --watch\n", true)
        .file("/srv/shop/binary", "\u{7f}ELF", true)
        .file("/srv/shop/app.ts", "", false)
        .file("/srv/shop/node_modules/.bin/tsx", "#!/usr/bin/env node\n", true)
        .file("/usr/bin/env", "", true)
}

fn read_with(body: &str, exec_mode: ExecMode) -> Reading {
    let options = ReadOptions { exec_mode, ..ReadOptions::default() };
    read(&[source("pm.toml", &format!("[[apps]]\nname = \"api\"\n{body}"))], &options, &world())
}

fn app(body: &str) -> App {
    let reading = read_with(body, ExecMode::Fork);
    assert_eq!(reading.diagnostics, [], "{body}");
    reading.proposed.unwrap().apps.remove(0)
}

fn cluster(body: &str) -> App {
    app(&format!("exec_mode = \"cluster\"\n{body}"))
}

/// The only finding about a file: its severity, message and hint.
fn finding(body: &str) -> (DiagnosticSeverity, String, String) {
    let found = read_with(body, ExecMode::Fork).diagnostics;
    let [Diagnostic { severity, message, hint, .. }] = found.as_slice() else { panic!("{body}: {found:#?}") };
    (*severity, message.strip_prefix("app `api`: ").unwrap_or(message).to_owned(), hint.clone().unwrap_or_default())
}

/// That such a file is refused with this message and a hint in which this stands.
fn assert_refused(body: &str, message: &str, hint: &str) {
    let (severity, said, hinted) = finding(body);
    assert_eq!((severity, said.as_str()), (DiagnosticSeverity::Error, message), "{body}");
    assert!(hinted.contains(hint), "{body}: {hinted}");
}

fn assert_no_cluster(program: &str, message: &str, hint: &str) {
    let message = format!("`exec_mode = \"cluster\"` needs {message}");
    assert_refused(&format!("exec_mode = \"cluster\"\n{program}"), &message, hint);
}

#[test]
fn both_keys_are_read_and_unsaid_scheduling_stays_open() {
    let read = |body: &str| {
        let run = cluster(&format!("script = \"server.js\"\n{body}")).run;
        (run.exec_mode, run.cluster.scheduling, run.cluster.drain_hook)
    };
    let mode = ExecMode::Cluster;
    assert_eq!(read(""), (mode, None, true));
    assert_eq!(read("cluster = {}"), (mode, None, true));
    assert_eq!(read("cluster = { scheduling = \"shared\" }"), (mode, Some(Scheduling::Shared), true));
    let both = "cluster = { scheduling = \"${UNSET:-round-robin}\", drain_hook = false }";
    assert_eq!(read(both), (mode, Some(Scheduling::RoundRobin), false));
    assert_eq!(cluster("script = \"server.js\"\ninstances = \"max\"").instances, Some(4));
    let run = app("script = \"server.js\"").run;
    assert_eq!((run.exec_mode, run.cluster), (ExecMode::Fork, ClusterPolicy::default()));
}

#[test]
fn the_words_of_pm2_mean_the_same() {
    assert!(app("script = \"server.js\"\nexec_mode = \"cluster_mode\"").is_cluster());
    assert!(!app("script = \"server.js\"\nexec_mode = \"fork_mode\"").is_cluster());
}

#[test]
fn a_worker_is_ready_when_it_listens_unless_the_file_says_otherwise() {
    let ready = |body: &str| cluster(&format!("script = \"server.js\"\n{body}")).ready;
    let listening = |timeout| Some(Ready { probe: Probe::Listening(true), timeout, interval: Ready::INTERVAL });
    for (body, timeout) in [
        ("", Ready::TIMEOUT),
        ("listen_timeout = \"3s\"", Millis::seconds(3)),
        ("wait_ready = false", Ready::TIMEOUT),
        ("ready = { listening = true }", Ready::TIMEOUT),
        ("ready = { timeout = \"1m\" }", Millis::seconds(60)),
        ("ready = { listening = true, timeout = \"5s\" }", Millis::seconds(5)),
        ("ready = { message = false }\nlisten_timeout = \"3s\"", Millis::seconds(3)),
    ] {
        assert_eq!(ready(body), listening(timeout), "{body}");
    }
    assert_eq!(ready("ready = { listening = false }"), None);
    for (body, probe) in [
        ("wait_ready = true", Probe::Message(true)),
        ("ready = { message = true }", Probe::Message(true)),
        ("ready = { notify = true, listening = false }", Probe::Notify(true)),
    ] {
        assert_eq!(ready(body).map(|ready| ready.probe), Some(probe), "{body}");
    }
    assert_eq!(app("script = \"server.js\"\nlisten_timeout = \"3s\"").ready, None);
}

#[test]
fn probes_of_ports_cannot_tell_workers_apart() {
    let fork = |body: &str| format!("script = \"server.js\"\n{body}");
    let cluster = |body: &str| format!("exec_mode = \"cluster\"\n{}", fork(body));
    assert_refused(
        &cluster("ready = { tcp = \"8080\" }"),
        "`ready.tcp` cannot tell the copies apart: they all answer on one shared socket",
        "use `listening`, `notify`,",
    );
    assert_refused(
        &cluster("health = { tcp = \"8080\" }"),
        "`health.tcp` cannot tell the copies apart: they all answer on one shared socket",
        "use `notify` or `exec`",
    );
    assert_refused(
        &fork("listen = [\"8080\"]\nready = { tcp = \"8080\" }"),
        "`ready.tcp` cannot tell the copies apart: they all answer on one shared socket",
        "use `notify`, `message`,",
    );
    assert_refused(
        &fork("ready = { listening = true }"),
        "`ready.listening` needs `exec_mode = \"cluster\"`",
        "use http, tcp,",
    );
    assert_refused(&fork("ready = { listening = false }"), "`ready` needs a probe", "add one of http, tcp,");
    let (_, message, _) = finding(&cluster("health = { listening = true }"));
    assert!(message.contains("unknown key `listening`"), "{message}");
    let (_, message, _) = finding(&cluster("ready = { listening = true, message = true }"));
    assert_eq!(message, "`ready` has several probes, `message` and `listening`");
}

#[test]
fn node_deno_and_what_cannot_be_judged_may_be_clusters() {
    for program in [
        "script = \"server.js\"",
        "script = \"server.js\"\ninterpreter = \"nodejs\"\ninterpreter_args = [\"--import\", \"tsx\"]",
        "script = \"server.js\"\ninterpreter = \"/opt/node-24/bin/node\"",
        "script = \"server.js\"\nargs = [\"--watch\"]",
        "script = \"app.ts\"\ninterpreter = \"deno\"\ninterpreter_args = [\"run\", \"-A\"]",
        "script = \"./tool\"",
        "script = \"./split\"",
        "script = \"node\"\nargs = [\"server.js\"]",
        "command = \"node server.js --watch -e 1\"",
        "command = \"node -r dotenv/config --import=tsx -- server.js\"",
        "command = \"/opt/node-24/bin/node --title api server.js\"",
        "command = \"deno run -A server.js\"",
        "command = \"env NODE_ENV=test node server.js\"",
        "command = \"cd app && exec node server.js\"\nshell = true",
        "command = \"sh -c 'exec node server.js'\"",
        "command = \"bash -ec 'exec node server.js'\"",
        "command = \"sleep ${PM_INSTANCE}\"\nshell = true",
    ] {
        assert!(cluster(program).is_cluster(), "{program}");
    }
}

#[test]
fn another_program_is_refused_with_what_shares_its_sockets() {
    let runs = |name: &str| format!("Node (or Deno, Bun) as the first process, but it runs `{name}`");
    for (program, name) in [
        ("script = \"worker.py\"", "python3"),
        ("command = \"python3 worker.py\"", "python3"),
        ("command = \"nice node server.js\"", "nice"),
        ("script = \"./binary\"", "binary"),
        ("script = \"sleep\"", "sleep"),
    ] {
        assert_no_cluster(program, &runs(name), "use `listen`");
    }
    for program in ["script = \"run.sh\"", "command = \"sh run.sh\""] {
        assert_no_cluster(
            program,
            &runs("sh"),
            "write `script = \"server.js\"`, or `command = \"exec node server.js\"`",
        );
    }
}

#[test]
fn wrappers_are_refused_with_the_line_to_write() {
    let runs = |name: &str| {
        let which = "which starts the app in another process";
        format!("Node (or Deno, Bun) as the first process, but it runs `{name}`, {which}")
    };
    let file = "write `script = \"server.js\"`: the file that the package script starts";
    let tsx = "`interpreter_args = [\"--import\", \"tsx\"]`";
    for (program, name, hint) in [
        ("command = \"npm start\"", "npm", file),
        ("script = \"npm\"\nargs = [\"start\"]", "npm", file),
        ("command = \"yarn start\"", "yarn", file),
        ("command = \"pnpm start\"", "pnpm", file),
        ("command = \"npx serve\"", "npx", file),
        ("command = \"tsx app.ts\"", "tsx", tsx),
        ("script = \"app.ts\"\ninterpreter = \"tsx\"", "tsx", tsx),
        ("script = \"node_modules/.bin/tsx\"\nargs = [\"app.ts\"]", "tsx", tsx),
        ("command = \"node node_modules/.bin/tsx app.ts\"", "tsx", tsx),
        ("command = \"ts-node app.ts\"", "ts-node", "ts-node/register"),
        ("command = \"nodemon server.js\"", "nodemon", "`watch = true`"),
    ] {
        assert_no_cluster(program, &runs(name), hint);
    }
    let starts = |what: &str| format!("the app in the first process, but `{what}` starts it in another one");
    let watch = "write `watch = true`";
    for (program, what, hint) in [
        ("command = \"node --watch server.js\"", "node --watch", watch),
        ("command = \"node --watch-path=src server.js\"", "node --watch-path", watch),
        ("script = \"server.js\"\nnode_args = \"--watch\"", "node --watch", watch),
        ("script = \"./watched\"", "node --watch", watch),
        ("command = \"node --run start\"", "node --run", file),
        ("command = \"deno task start\"", "deno task", file),
    ] {
        assert_no_cluster(program, &starts(what), hint);
    }
    for (program, what) in [
        ("command = \"node -e 1\"", "node -e"),
        ("command = \"node --print 1\"", "node --print"),
        ("command = \"node -\"", "node -"),
        ("command = \"node\"", "node"),
        ("command = \"node -r x\"", "node"),
    ] {
        let message = format!("a file for its workers, but `{what}` has none");
        assert_no_cluster(program, &message, "write `script = \"server.js\"`");
    }
}

#[test]
fn a_program_that_is_not_there_is_one_finding() {
    for program in
        ["script = \"gone.js\"", "script = \"gone\"\ninterpreter = \"node\"", "script = \"app.ts\"", "port = 1"]
    {
        let found = read_with(&format!("exec_mode = \"cluster\"\n{program}"), ExecMode::Fork).diagnostics;
        let is_about_mode = |found: &Diagnostic| found.message.contains("exec_mode");
        assert!(!found.is_empty() && !found.iter().any(is_about_mode), "{program}: {found:#?}");
    }
}

#[test]
fn keys_that_contradict_a_cluster_are_refused() {
    let cluster = |body: &str| format!("script = \"server.js\"\nexec_mode = \"cluster\"\n{body}");
    assert_refused(
        &cluster("port = 3000"),
        "`port` gives every copy a port of its own, but the workers of a cluster share one",
        "`env = { PORT = \"3000\" }`",
    );
    assert_refused(
        &cluster("kind = \"task\""),
        "a task cannot have `exec_mode = \"cluster\"`",
        "remove one of the two",
    );
    let shared = "cluster = { scheduling = \"shared\" }";
    assert_refused(
        &format!("script = \"server.js\"\n{shared}"),
        "`cluster` needs `exec_mode = \"cluster\"`",
        "add `exec_mode = \"cluster\"`",
    );
    assert_refused(
        &format!("script = \"server.js\"\nexec_mode = \"fork\"\n{shared}"),
        "`cluster` needs `exec_mode = \"cluster\"`",
        "`cluster = { unset = true }`",
    );
    let deno = "exec_mode = \"cluster\"\ncommand = \"deno run -A server.js\"";
    let round_robin = "`cluster = { scheduling = \"round-robin\" }`";
    let message = "Deno does not support `cluster.scheduling = \"shared\"`";
    assert_refused(&format!("{deno}\n{shared}"), message, round_robin);
    let by_variable = format!("{deno}\nenv = {{ NODE_CLUSTER_SCHED_POLICY = \"none\" }}");
    assert_refused(&by_variable, "Deno does not support `NODE_CLUSTER_SCHED_POLICY=none`", round_robin);
    app(&format!("{by_variable}\ncluster = {{ scheduling = \"round-robin\" }}"));
}

#[test]
fn what_defaults_say_about_clusters_is_for_clusters() {
    let one = |name: &str, body: &str| format!("[[apps]]\nname = \"{name}\"\nscript = \"server.js\"\n{body}\n");
    let text = format!(
        "[defaults]\ncluster = {{ drain_hook = false }}\n{}{}",
        one("a", ""),
        one("b", "exec_mode = \"cluster\"")
    );
    let reading = read(&[source("pm.toml", &text)], &ReadOptions::default(), &world());
    assert_eq!(reading.diagnostics, []);
    let hooks: Vec<bool> = reading.proposed.unwrap().apps.iter().map(|app| app.run.cluster.drain_hook).collect();
    assert_eq!(hooks, [true, false]);
    app("script = \"server.js\"\ncluster = { drain_hook = true }");
}

#[test]
fn bun_works_but_binds_in_every_copy() {
    for program in ["script = \"server.js\"\ninterpreter = \"bun\"", "command = \"bun server.js\""] {
        let (severity, message, hint) = finding(&format!("exec_mode = \"cluster\"\n{program}"));
        assert_eq!(severity, DiagnosticSeverity::Warning);
        assert_eq!(message, "Bun opens the port in every copy by itself (SO_REUSEPORT): a reload may lose connections");
        assert_eq!(hint, "run it with Node, whose copies share one socket");
    }
}

#[test]
fn copies_that_share_their_ports_need_nothing_to_tell_them_apart() {
    cluster("script = \"server.js\"\ninstances = 4");
    let message = "4 copies with nothing to tell them apart";
    for (program, first) in [
        ("script = \"server.js\"", "if they listen, `exec_mode = \"cluster\"` lets them share a port, `port = 3000`"),
        ("command = \"node server.js\"", "if they listen, `exec_mode = \"cluster\"` lets them share a port, "),
        ("script = \"worker.py\"", "if they listen, `port = 3000` gives each its own PORT;"),
        ("command = \"npm start\"", "if they listen, `port = 3000`"),
    ] {
        let (severity, said, hint) = finding(&format!("{program}\ninstances = 4"));
        assert_eq!((severity, said.as_str()), (DiagnosticSeverity::Warning, message), "{program}");
        assert!(hint.starts_with(first), "{program}: {hint}");
    }
}

#[test]
fn copies_from_the_command_line_are_a_cluster_where_they_can_be_one() {
    let mode = |body: &str| {
        let proposed = read_with(&format!("{body}\ninstances = 2"), ExecMode::Cluster).proposed;
        proposed.unwrap_or_else(|| panic!("{body}")).apps.remove(0).run.exec_mode
    };
    for body in ["script = \"server.js\"", "script = \"./tool\"", "script = \"app.ts\"\ninterpreter = \"bun\""] {
        assert_eq!(mode(body), ExecMode::Cluster, "{body}");
    }
    for body in [
        "script = \"worker.py\"",
        "script = \"npm\"",
        "script = \"app.ts\"\ninterpreter = \"tsx\"",
        "script = \"server.js\"\nexec_mode = \"fork\"",
    ] {
        assert_eq!(mode(body), ExecMode::Fork, "{body}");
    }
}
