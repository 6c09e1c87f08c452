//! The room as a whole: what a user would notice.

use std::collections::BTreeMap;

use crate::model::{App, CronOverlap, HealPolicy, Millis, Probe, RestartWhen, SelfHeal, Template};

use super::fake::{World, read_toml, source};
use super::{DiagnosticSeverity, Profile, ReadOptions, Reading, SourceFrom, read};

fn only_app(reading: Reading) -> App {
    assert_eq!(reading.diagnostics, []);
    reading.proposed.unwrap().apps.remove(0)
}

fn app(body: &str) -> App {
    only_app(read_toml(&format!("[[apps]]\nname = \"api\"\n{body}")))
}

/// The codes of all errors, in the order of the file.
fn errors(reading: &Reading) -> Vec<&'static str> {
    assert_eq!(reading.proposed.is_none(), reading.diagnostics.iter().any(|d| d.severity == DiagnosticSeverity::Error));
    reading.diagnostics.iter().filter(|d| d.severity == DiagnosticSeverity::Error).map(|d| d.code).collect()
}

fn refused(body: &str) -> Vec<&'static str> {
    errors(&read_toml(&format!("[[apps]]\nname = \"api\"\n{body}")))
}

#[test]
fn a_script_gets_its_interpreter_and_every_default() {
    let app = app("script = \"server.js\"\nargs = [\"-v\", 8]");
    assert_eq!(app.run.script.as_deref(), Some("/srv/shop/server.js"));
    assert_eq!(app.run.interpreter.as_deref(), Some("node"));
    assert_eq!(app.run.args, [Template::literal("-v"), Template::literal("8")]);
    assert_eq!(app.run.cwd.to_str(), Some("/srv/shop"));
    assert_eq!((app.project.as_str(), app.instances, app.autostart), ("shop", None, true));
    assert_eq!((app.stop.kill_signal, app.stop.kill_timeout.0), (15, 10_000));
}

#[test]
fn a_value_of_another_kind_is_refused_with_an_example_of_the_right_one() {
    for (body, hint) in [
        ("depends_on = [{ app = \"db\", condition = \"ready\" }]", "for example `depends_on = [\"db\"]`"),
        ("args = { a = 1 }", "for example `args = "),
        ("watch = 3", "for example `watch = "),
    ] {
        let reading = read_toml(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\n{body}"));
        let hints: Vec<&str> = reading.diagnostics.iter().filter_map(|found| found.hint.as_deref()).collect();
        let key = body.split(' ').next().unwrap();
        assert!(hints[0].starts_with(hint) && hints[0].ends_with(&format!("; see `pm explain {key}`")), "{hints:?}");
    }
}

#[test]
fn an_app_without_a_name_takes_that_of_its_script() {
    assert_eq!(only_app(read_toml("[[apps]]\nscript = \"./server.js\"")).name.as_str(), "server");
    assert_eq!(errors(&read_toml("[[apps]]\ncommand = \"sleep 1\"")), ["missing-key"]);
}

#[test]
fn the_program_is_found_before_anything_starts() {
    let run = |body: &str| app(body).run;
    assert_eq!(run("script = \"run.sh\"").interpreter, None);
    assert_eq!(run("script = \"worker.py\"").interpreter.as_deref(), Some("python3"));
    assert_eq!(run("script = \"sleep\"").script.as_deref(), Some("sleep"));
    assert_eq!(run("script = \"run.sh\"\ninterpreter = \"bash\"").interpreter.as_deref(), Some("bash"));
    let words: Vec<String> = run("command = \"sleep '1 2'\"").command.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["sleep", "1 2"]);
    for (body, code) in [
        ("script = \"gone.js\"", "script-missing"),
        ("script = \"gone\"", "script-missing"),
        ("script = \"server.js\"\ninterpreter = \"gone\"", "interpreter"),
        ("script = \"server.js\"\ninterpreter = \"none\"", "not-executable"),
        ("script = \"server.js\"\ncwd = \"gone\"", "cwd"),
        ("command = \"gone -x\"", "script-missing"),
        ("command = \"sleep 'x\"", "bad-value"),
        ("script = \"server.js\"\ncommand = \"sleep 1\"", "conflicting-keys"),
        ("args = []", "missing-key"),
        ("script = \"run.sh\"\nuser = \"nobody-here\"", "unknown-user"),
        ("script = \"run.sh\"\nuser = \"www\"\ngroup = \"nobody-here\"", "unknown-user"),
        ("script = \"run.sh\"\nuser = \"stranger\"", "user-not-permitted"),
        ("script = \"run.sh\"\ngroup = \"www\"", "missing-key"),
    ] {
        assert!(refused(body).contains(&code), "{body}: {:?}", refused(body));
    }
}

#[test]
fn what_is_too_large_for_the_kernel_is_refused_where_it_stands() {
    let long = "x".repeat(131_072);
    let world = World::usual().file("/srv/shop/long.env", &format!("A={long}"), false);
    for (body, line) in [
        (format!("script = \"run.sh\"\nenv = {{ B = \"{long}\" }}"), 4),
        (format!("script = \"run.sh\"\nargs = [\"{long}\"]"), 4),
        (format!("command = \"sleep {long}\""), 3),
        (format!("command = \"sleep {long}\"\nshell = true"), 3),
        ("script = \"run.sh\"\nenv_file = \"long.env\"".to_owned(), 4),
        (format!("script = \"run.sh\"\nhooks = {{ pre_stop = \"{long}\" }}"), 4),
        (format!("script = \"run.sh\"\nhealth = {{ exec = \"{long}\" }}"), 4),
        (format!("script = \"run.sh\"\nwatch = true\nbuild = \"{long}\""), 5),
    ] {
        let text = format!("[[apps]]\nname = \"api\"\n{body}");
        let reading = read(&[source("pm.toml", &text)], &ReadOptions::default(), &world);
        let found: Vec<(&str, u32)> =
            reading.diagnostics.iter().map(|d| (d.code, d.place.as_ref().unwrap().line)).collect();
        assert_eq!(found, [("bad-value", line)], "{}", &text[..60]);
    }
    let many = (0..50).map(|number| format!("V{number}={}", "x".repeat(130_000))).collect::<Vec<_>>().join("\n");
    let world = (0..7).fold(World::usual(), |world, number| {
        world.file(&format!("/srv/shop/{number}.env"), &many.replace('V', &format!("V{number}"))[..1_000_000], false)
    });
    let text = "[[apps]]\nname = \"api\"\nscript = \"run.sh\"\nenv_file = [\"0.env\", \"1.env\", \"2.env\", \"3.env\", \"4.env\", \"5.env\", \"6.env\"]";
    let reading = read(&[source("pm.toml", text)], &ReadOptions::default(), &world);
    assert_eq!(errors(&reading), ["bad-value"]);
}

#[test]
fn the_hash_bang_line_counts_where_the_extension_says_nothing() {
    let world = World::usual()
        .file("/srv/shop/tool", "#!/usr/bin/env ruby\n", false)
        .file("/srv/shop/app.ts", "", false)
        .file("/opt/venv/bin/python", "", true)
        .file("/srv/shop/broken", "#!/opt/gone/python -u\n", true)
        .file("/srv/shop/venv.py", "#!/opt/venv/bin/python\n", true);
    let interpreter = |script: &str| {
        let text = format!("[[apps]]\nname = \"x\"\nscript = \"{script}\"");
        read(&[source("pm.toml", &text)], &ReadOptions::default(), &world)
    };
    assert_eq!(only_app(interpreter("./tool")).run.interpreter.as_deref(), Some("ruby"));
    assert_eq!(only_app(interpreter("venv.py")).run.interpreter, None);
    assert_eq!(errors(&interpreter("app.ts")), ["interpreter"]);
    let broken = interpreter("./broken");
    assert_eq!(errors(&broken), ["interpreter"]);
    let told = "app `x`: the interpreter `/opt/gone/python` of script `/srv/shop/broken` does not exist";
    assert_eq!(broken.diagnostics[0].message, told);
}

#[test]
fn a_key_that_stands_there_twice_is_one_finding() {
    for (name, text) in [
        ("a.json", r#"{"apps": [{"name": "x", "script": "run.sh", "args": ["1"], "args": ["2"]}]}"#),
        ("a.yaml", "apps:\n  - name: x\n    script: run.sh\n    args: ['1']\n    args: ['2']\n"),
    ] {
        assert_eq!(errors(&read(&[source(name, text)], &ReadOptions::default(), &World::usual())), ["duplicate-key"]);
    }
}

#[test]
fn a_file_that_does_not_parse_hides_nothing_of_the_others() {
    let files =
        [source("a.toml", "[[apps]\n"), source("b.toml", "[[apps]]\nname = \"b\"\nscript = \"run.sh\"\ncvd = \"x\"\n")];
    let reading = read(&files, &ReadOptions::default(), &World::usual());
    assert_eq!(errors(&reading), ["syntax", "unknown-key"]);
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let reading = read_toml(
        "[[apps]]\nname = \"api\"\nscript = \"server.js\"\ninstnaces = 2\nkill_timeout = 5\n\n[[apps]]\nname = \"b\"\nscript = 3\nwatch = \"yes\"\n",
    );
    let found: Vec<(&str, u32)> =
        reading.diagnostics.iter().map(|d| (d.code, d.place.as_ref().unwrap().line)).collect();
    assert_eq!(found, [("unknown-key", 4), ("missing-unit", 5), ("wrong-type", 9), ("wrong-type", 10)]);
    let hints: Vec<&str> = reading.diagnostics.iter().filter_map(|d| d.hint.as_deref()).collect();
    assert_eq!(hints[..2], ["did you mean `instances`?", "write \"5ms\" or \"5s\""]);
    assert_eq!(hints[3], "write true");
}

#[test]
fn environment_layers_lie_in_their_published_order() {
    let world = World::usual()
        .file("/srv/shop/a.env", "A=file\nB=file\nC=file\nD=file", false)
        .file("/srv/shop/b.env", "B=file2\nC=file2\nD=file2", false)
        .variable("A", "shell")
        .variable("Z_X", "shell");
    let text = r#"
[defaults]
env_file = "a.env"
env = { C = "defaults", E = "defaults", F = "x" }
[[apps]]
name = "api"
script = "server.js"
inherit = ["A", "Z_*"]
env_file = "b.env"
env = { D = "${A}", N = 5, YES = true, F = { unset = true } }
env_production = { E = "profile" }
"#;
    let options =
        ReadOptions { profile: Profile::Named("production".into()), with_sources: true, ..Default::default() };
    let reading = read(&[source("pm.toml", text)], &options, &world);
    let sources: BTreeMap<&str, &SourceFrom> = reading.sources.iter().map(|s| (s.path.as_str(), &s.from)).collect();
    assert_eq!(*sources["api.env.Z_X"], SourceFrom::Shell);
    assert!(matches!(sources["api.env.E"], SourceFrom::File { place, .. } if place.line == 11));
    assert!(matches!(sources["api.env.B"], SourceFrom::EnvFile { file } if file.ends_with("b.env")));
    let proposed = reading.proposed.unwrap();
    let env: Vec<String> = proposed.apps[0].run.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=file", "B=file2", "C=defaults", "D=shell", "E=profile", "N=5", "YES=true", "Z_X=shell"]);
    let from: Vec<&str> = proposed.from_shell.keys().map(String::as_str).collect();
    assert_eq!(from, ["api.env.D", "api.env.Z_X"]);
    assert_eq!(proposed.base.keys().collect::<Vec<_>>(), ["HOME", "LANG", "PATH"]);
    assert_eq!(proposed.origin.profile.as_deref(), Some("production"));
}

#[test]
fn variables_are_settled_now_or_kept_for_the_instance() {
    let world = World::usual().variable("DB", "db1").variable("N", "3");
    let text = r#"
project = "store"
[[apps]]
name = "api"
script = "server.js"
instances = "${N}"
port = 8000
args = ["--url=http://x:${PORT}/${PM_INSTANCE}", "$$5", "${PM_PROJECT}:${PM_APP}", "${PM_FILE_DIR}", "${DB}"]
env = { DB = "${DB:-none}", V = "${GIVEN}" }
out_file = "logs/${PM_INSTANCE}.log"
kill_timeout = "${T:-5s}"
"#;
    let options = ReadOptions { vars: BTreeMap::from([("GIVEN".into(), "yes".into())]), ..Default::default() };
    let reading = read(&[source("pm.toml", text)], &options, &world);
    let from: Vec<&str> = reading.proposed.as_ref().unwrap().from_shell.keys().map(String::as_str).collect();
    assert_eq!(from, ["api.args", "api.env.DB", "api.instances"]);
    let app = only_app(reading);
    let args: Vec<String> = app.run.args.iter().map(|arg| arg.fill(1, app.run.port)).collect();
    assert_eq!(args, ["--url=http://x:8001/1", "$5", "store:api", "/srv/shop", "db1"]);
    assert_eq!(app.logs.out_file.unwrap().fill(2, None), "/srv/shop/logs/2.log");
    assert_eq!((app.instances, app.stop.kill_timeout.0), (Some(3), 5000));
    for body in ["cwd = \"${GONE}\"", "cwd = \"${PM_INSTANCE}\"", "args = [\"${\"]", "args = [\"${X:?say it}\"]"] {
        assert_eq!(refused(&format!("script = \"server.js\"\n{body}")).len(), 1, "{body}");
    }
    assert_eq!(refused("script = \"server.js\"\nport = \"${LANG}\""), ["wrong-type"]);
}

#[test]
fn files_are_laid_over_each_other_by_name() {
    let base = "project = \"p\"\n[defaults]\nnamespace = \"low\"\n[apps.api]\nscript = \"server.js\"\nenv = { A = \"1\", B = \"1\" }\n[apps.old]\nscript = \"run.sh\"";
    let over = "apps:\n  - name: api\n    env: {B: '2', A: {unset: true}}\n    kill_timeout: 1s\n  - {name: new, script: run.sh}\n";
    let files = [source("pm.toml", base), source("over.yaml", over)];
    let proposed = read(&files, &ReadOptions::default(), &World::usual()).proposed.unwrap();
    let names: Vec<&str> = proposed.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["api", "old", "new"]);
    let env: Vec<String> = proposed.apps[0].run.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!((env.join(" ").as_str(), proposed.apps[0].namespace.as_str()), ("B=2", "low"));
    assert_eq!(proposed.apps[2].namespace, "default");
    assert_eq!(proposed.origin.files.len(), 2);
    let other = [source("a.toml", "project = \"a\""), source("b.toml", "project = \"b\"")];
    assert_eq!(errors(&read(&other, &ReadOptions::default(), &World::usual())), ["several-projects"]);
}

#[test]
fn a_profile_must_be_defined_somewhere() {
    let text =
        "[[apps]]\nname = \"a\"\nscript = \"run.sh\"\n[apps.profiles.production]\ninstances = \"max\"\nport = 1000";
    let with = |profile: Profile| {
        let options = ReadOptions { profile, ..Default::default() };
        read(&[source("pm.toml", text)], &options, &World::usual())
    };
    assert_eq!(only_app(with(Profile::choose(Some("production"), None))).instances, Some(4));
    assert_eq!(only_app(with(Profile::choose(Some("none"), Some("production")))).instances, None);
    assert_eq!(only_app(with(Profile::choose(None, Some("production")))).instances, Some(4));
    let wrong = with(Profile::choose(Some("prodution"), None));
    assert_eq!(errors(&wrong), ["unknown-profile"]);
    assert_eq!(wrong.diagnostics[0].hint.as_deref(), Some("did you mean `production`?"));
}

#[test]
fn apps_are_seen_together() {
    let three = |a: &str, b: &str, c: &str| {
        let one = |name: &str, body: &str| format!("[[apps]]\nname = \"{name}\"\nscript = \"run.sh\"\n{body}\n");
        read_toml(&[one("a", a), one("b", b), one("c", c)].concat())
    };
    let cycle = three("depends_on = [\"b\"]", "depends_on = { c = \"started\" }", "depends_on = [\"a\"]");
    assert_eq!(errors(&cycle), ["dependency-cycle"]);
    assert_eq!(cycle.diagnostics[0].message, "apps wait for each other: a → b → c → a");
    assert_eq!(errors(&three("depends_on = [\"a\"]", "", "")), ["dependency-cycle"]);
    assert_eq!(errors(&three("depends_on = [\"bb\"]", "", "")), ["unknown-dependency"]);
    assert_eq!(errors(&three("", "name = \"a\"", "")).len(), 1);
    assert_eq!(three("port = 80\ninstances = 3", "port = 82", "port = 83").diagnostics.len(), 1);
    assert_eq!(
        errors(&read_toml("[[apps]]\nname='a'\nscript='run.sh'\n[[apps]]\nname='a'\nscript='run.sh'")),
        ["duplicate-app"]
    );
}

#[test]
fn what_is_not_built_is_refused_unless_it_asks_for_nothing() {
    for body in ["log_rotate = { compress = true }", "env = { A = { secret = \"file:/x\" } }"] {
        let codes = refused(&format!("script = \"run.sh\"\n{body}"));
        assert!(codes.contains(&"unsupported"), "{body}: {codes:?}");
    }
    app(
        "script = \"run.sh\"\nwatch = false\nexec_mode = \"fork\"\nkind = \"service\"\ntime = false\nhooks = {}\nlisten = []\nlog_rotate = { compress = false }",
    );
}

#[test]
fn policies_are_read_as_documented() {
    let app = app(
        "script = \"run.sh\"\nautorestart = false\nstop_exit_codes = [3, 0]\nmax_restarts = 4\nmin_uptime = \"1m\"\nkill_signal = \"INT\"\nstop_scope = \"process\"\numask = \"0o027\"\nlog_rotate = { size = \"1M\" }\nmoved_from = [\"x\", \"p:y\"]\ninstances = -1\nport = 80\nuser = 0",
    );
    assert_eq!(app.restart.restart, RestartWhen::Never);
    assert_eq!((app.restart.stop_exit_codes, app.restart.max_restarts), (vec![0, 3], Some(4)));
    assert_eq!((app.stop.kill_signal, app.run.umask, app.instances), (2, Some(0o27), Some(3)));
    assert_eq!((app.logs.log_rotate.size.0, app.logs.log_rotate.keep), (1 << 20, 5));
    assert_eq!(app.moved_from.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop:x", "p:y"]);
    assert_eq!(app.run.user.as_deref(), Some("0"));
    for body in [
        "autorestart = true\nrestart = \"never\"",
        "umask = \"9\"",
        "umask = \"7777\"",
        "umask = \"0o1000\"",
        "umask = 18",
        "kill_signal = \"SIGFOO\"",
        "max_restarts = \"many\"",
        "instances = 1.5",
        "port = 0",
        "port = 65530\ninstances = 10",
        "node_args = []\ninterpreter_args = []",
        "env = { A = 1.5 }",
        "log_rotate = { size = \"1B\" }",
    ] {
        assert_eq!(refused(&format!("script = \"run.sh\"\n{body}")).len(), 1, "{body}");
    }
}

#[test]
fn a_schedule_is_checked_when_it_is_read() {
    let timed = app(
        "script = \"run.sh\"\nkind = \"task\"\ncron = \"*/5 * * * *\"\ncron_timezone = \"Europe/Berlin\"\ncron_overlap = \"replace\"",
    );
    assert!(timed.is_timed_task());
    assert_eq!(timed.schedule.cron_restart.as_deref(), Some("*/5 * * * *"));
    assert_eq!(
        (timed.schedule.cron_timezone.as_deref(), timed.schedule.cron_overlap),
        (Some("Europe/Berlin"), CronOverlap::Replace)
    );
    for (body, words) in [
        (
            "cron_restart = \"61 * * * *\"",
            "app `a`: `cron_restart`: `61` is not within 0 to 59 in the field for the minute",
        ),
        (
            "cron_restart = \"0 0 30 2 *\"",
            "app `a`: `cron_restart`: `0 0 30 2 *` never runs: no such day exists in its months",
        ),
        (
            "cron = \"@daily\"\ncron_timezone = \"Mars/Olympus\"",
            "app `a`: `cron_timezone`: no time zone `Mars/Olympus`",
        ),
    ] {
        let reading = read_toml(&format!("[[apps]]\nname = \"a\"\nscript = \"run.sh\"\n{body}"));
        assert_eq!(errors(&reading), ["cron"], "{body}");
        let found = &reading.diagnostics[0];
        assert_eq!(found.message, words);
        assert!(found.hint.is_some() && found.place.as_ref().is_some_and(|place| place.line >= 4), "{found:?}");
    }
}

#[test]
fn who_depends_on_a_timed_task_is_warned() {
    let text = "[[apps]]\nname = \"a\"\nscript = \"run.sh\"\nkind = \"task\"\ncron = \"@daily\"\n[[apps]]\nname = \"b\"\nscript = \"run.sh\"\ndepends_on = { a = \"completed\" }";
    let reading = read_toml(text);
    let found: Vec<_> = reading.diagnostics.iter().map(|found| (found.code, found.severity)).collect();
    assert_eq!(found, [("cron", DiagnosticSeverity::Warning)]);
    assert!(reading.proposed.is_some());
}

#[test]
fn contents_of_restart_on_belong_to_the_app() {
    let text = "[[apps]]\nname = \"a\"\nscript = \"run.sh\"\nrestart_on = [\"dist/**/*.js\", \"lock\"]";
    let digests = |content: &str| {
        let world = World::usual()
            .file("/srv/shop/dist/a.js", "1", false)
            .file("/srv/shop/dist/x/b.js", content, false)
            .file("/srv/shop/dist/x/c.css", "", false)
            .file("/srv/shop/lock", "", false);
        only_app(read(&[source("pm.toml", text)], &ReadOptions::default(), &world)).run.restart_on
    };
    let (before, after) = (digests("2"), digests("3"));
    let names: Vec<&str> = before.keys().filter_map(|path| path.to_str()).collect();
    assert_eq!(names, ["/srv/shop/dist/a.js", "/srv/shop/dist/x/b.js", "/srv/shop/lock"]);
    assert_ne!(before, after);
}

#[test]
fn a_folder_through_a_link_is_recorded_by_its_target() {
    let mut world = World::usual();
    world.links.insert("/srv/current".into(), "/srv/shop".into());
    let text = "[[apps]]\nname = \"a\"\nscript = \"server.js\"\ncwd = \"/srv/current\"";
    let app = only_app(read(&[source("pm.toml", text)], &ReadOptions::default(), &world));
    assert_eq!(app.run.script.as_deref(), Some("/srv/shop/server.js"));
}

#[test]
fn a_broken_env_file_is_shown_with_its_own_line() {
    let world = World::usual().file("/srv/shop/.env", "A=1\noops\n", false);
    let text =
        "[[apps]]\nname = \"a\"\nscript = \"run.sh\"\nenv_file = [\".env\", { path = \"gone\", required = false }]";
    let reading = read(&[source("pm.toml", text)], &ReadOptions::default(), &world);
    assert_eq!(errors(&reading), ["env-file"]);
    let place = reading.diagnostics[0].place.clone().unwrap();
    assert_eq!((place.file.to_str(), place.line), (Some("/srv/shop/.env"), 2));
    assert_eq!(refused("script = \"run.sh\"\nenv_file = \"gone\""), ["env-file"]);
}

#[test]
fn every_env_file_is_among_the_files_whatever_is_in_it() {
    let mut world = World::usual().file("/srv/shop/good", "A=1", false).file("/srv/shop/bad", "oops", false);
    world.files.insert("/srv/shop/bytes".into(), (vec![0xFF], false));
    let env_files = r#"["good", "gone", "bad", "bytes", "good"]"#;
    let text = format!("[[apps]]\nname = \"a\"\nscript = \"run.sh\"\nenv_file = {env_files}");
    let reading = read(&[source("pm.toml", &text)], &ReadOptions::default(), &world);
    let names = reading.files.iter().map(|file| file.path.file_name().unwrap().to_string_lossy());
    assert_eq!(names.collect::<Vec<_>>(), ["pm.toml", "good", "gone", "bad", "bytes"]);
    let place = reading.diagnostics.iter().filter_map(|found| found.place.clone()).find(|place| place.line == 1);
    assert_eq!(place.unwrap().file.to_str(), Some("/srv/shop/bad"));
}

#[test]
fn a_command_that_is_called_false_is_a_command() {
    let probe = |body: &str| app(&format!("script = \"server.js\"\n{body}")).ready.map(|ready| ready.probe);
    assert_eq!(probe("ready = { exec = \"false\" }"), Some(Probe::Exec(Template::literal("false"))));
    assert_eq!(probe("ready = { exec = \"true\", notify = false }"), Some(Probe::Exec(Template::literal("true"))));
    assert_eq!(refused("script = \"server.js\"\nready = { notify = false }"), ["missing-key"]);
}

#[test]
fn two_apps_cannot_have_one_socket() {
    let two = |one: &str, other: &str| {
        errors(&read_toml(&format!(
            "[[apps]]\nname = \"a\"\nscript = \"server.js\"\n{one}\n[[apps]]\nname = \"b\"\nscript = \"server.js\"\n{other}"
        )))
    };
    let listen = |address: &str| format!("listen = [\"{address}\"]");
    for (one, other) in [("8080", "8080"), ("127.0.0.1:8080", "8080"), ("unix:/run/x.sock", "unix:/run/x.sock")] {
        assert_eq!(two(&listen(one), &listen(other)), ["port"], "{one} {other}");
    }
    assert_eq!(two(&listen("8081"), "port = 8080\ninstances = 2"), ["port"]);
    assert_eq!(two("port = 8081", &listen("8081")), ["port"]);
    let none: [&str; 0] = [];
    for (one, other) in [("8080", "8081"), ("127.0.0.1:8080", "127.0.0.2:8080"), ("unix:/a", "unix:/b")] {
        assert_eq!(two(&listen(one), &listen(other)), none, "{one} {other}");
    }
    assert_eq!(two(&listen("127.0.0.1:8080"), "port = 8080"), none, "there may be room at another address");
    assert_eq!(two(&listen("8080"), &format!("{}\nautostart = false", listen("8080"))), none, "one at a time");
}

#[test]
fn sockets_that_cannot_be_opened_are_known_before_anything_starts() {
    let listen = |text: &str| refused(&format!("script = \"server.js\"\nlisten = {text}"));
    assert_eq!(listen("[\"8080\", \"127.0.0.1:8080\"]"), ["bad-value"]);
    assert_eq!(listen(&format!("[\"unix:/run/{}\"]", "x".repeat(103))), ["bad-value"]);
    let none: [&str; 0] = [];
    assert_eq!(listen(&format!("[\"unix:/run/{}\"]", "x".repeat(102))), none);
}

/// Defaults that are documented as a value: the rest is words.
fn literal(default: &str) -> Option<&str> {
    let is_literal = default.starts_with(['"', '{'])
        || matches!(default, "true" | "false")
        || default.bytes().all(|byte| byte.is_ascii_digit());
    is_literal.then_some(default)
}

#[test]
fn a_default_that_is_written_out_is_the_same_app() {
    let read = |body: &str| {
        let reading = read_toml(&format!("[[apps]]\nname = \"api\"\nscript = \"run.sh\"\n{body}\n"));
        let mut apps = reading.proposed.unwrap_or_else(|| panic!("{body}: {:#?}", reading.diagnostics)).apps;
        let mut app = apps.remove(0);
        // No opinion about the number means one; only an operator's `pm scale` knows the difference.
        app.instances.get_or_insert(1);
        app
    };
    let mut tried = 0;
    for key in crate::model::KEYS {
        if let Some(default) = literal(key.default) {
            assert_eq!(read(&format!("{} = {default}", key.name)), read(""), "{} = {default}", key.name);
            tried += 1;
        }
        // What else the table has to hold, and whether it may hold nothing else.
        let (with, is_alone) = match key.name {
            "ready" | "health" => ("tcp = \"127.0.0.1:80\", ", false),
            "env_file" => ("path = \"none.env\", ", false),
            _ => ("", true),
        };
        for (path, field) in key.inside().iter().filter(|(path, _)| key.name != "env_file" || path != "required") {
            let Some(default) = literal(field.default) else { continue };
            let table = |inside: &str| format!("{} = {{ {with}{inside} }}", key.name);
            let written = format!("{path} = {default}");
            let without = if is_alone { read("") } else { read(&table("").replace(", ", "")) };
            assert_eq!(read(&table(&written)), without, "{}.{written}", key.name);
            tried += 1;
        }
    }
    assert!(tried > 45, "{tried}");
}

#[test]
fn an_http_probe_asks_what_its_url_says_or_is_refused() {
    let probe = |inner: &str| format!("script = \"server.js\"\nport = 80\nready = {{ http = {inner} }}");
    for good in [
        "\"http://127.0.0.1:${PORT}/a%20b?x=${PM_INSTANCE}\"",
        "\"http://user:secret@[::1]:1${PM_INSTANCE}/\"",
        "{ url = \"http://h/\", headers = { X-Key = \"é\" } }",
    ] {
        assert_eq!(refused(&probe(good)), Vec::<&str>::new(), "{good}");
    }
    for bad in [
        "\"http://h/a b\"",
        "\"http://h/é\"",
        "\"http://é/\"",
        "\"http://h/?q={x}\"",
        "\"http://h/100%\"",
        "\"http://h:0/\"",
        "\"http://h:99999/\"",
        "\"http:///a\"",
        "\"ftp://h/\"",
        "\"h:80\"",
        "{ url = \"http://h/\", headers = { \"X Key\" = \"1\" } }",
        "{ url = \"http://h/\", headers = { \"X:\" = \"1\" } }",
    ] {
        assert_eq!(refused(&probe(bad)), ["bad-value"], "{bad}");
    }
    let reading = read_toml(&format!("[[apps]]\nname = \"api\"\n{}", probe("\"http://u:hunter2@h/é\"")));
    let shown = format!("{:?}", reading.diagnostics);
    assert!(shown.contains("%C3%A9") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_a_project_puts_right_by_itself_is_read_and_never_ignored() {
    let read = |lines: &str| read_toml(&format!("{lines}\n[[apps]]\nname = \"api\"\ncommand = \"sleep 1\""));
    let (mode, default) = (SelfHeal::Full, HealPolicy::OVERRIDE_GRACE);
    for (lines, expected) in [
        ("", HealPolicy::default()),
        ("self_heal = \"off\"", HealPolicy::default()),
        ("self_heal = \"full\"", HealPolicy { mode, override_grace: default }),
        ("self_heal = \"full\"\noverride_grace = \"1h30m\"", HealPolicy { mode, override_grace: Millis(5_400_000) }),
        ("self_heal = \"full\"\noverride_grace = 0", HealPolicy { mode, override_grace: Millis(0) }),
    ] {
        assert_eq!(read(lines).proposed.unwrap().origin.heal, expected, "{lines}");
    }
    for wrong in ["self_heal = \"Full\"", "self_heal = true", "override_grace = 5", "override_grace = \"${GRACE:-5s}\""]
    {
        assert_eq!(errors(&read(wrong)).len(), 1, "{wrong}");
    }
}
