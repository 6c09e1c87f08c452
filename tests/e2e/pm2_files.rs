//! The configuration files of PM2 work as they are, and `pm import` makes an ecosystem file of them.

use std::path::Path;
use std::process::Command;

use crate::support::{Node, Output, Sandbox, node, run};

crate::on_every_node!(javascript_of_both_kinds_is_evaluated, what_cannot_be_evaluated_is_told_and_nothing_starts);

/// `pm` where `node` is this one.
fn with_node(sandbox: &Sandbox, node: &Node, args: &[&str]) -> Output {
    run(&mut command(sandbox, node, args))
}

fn command(sandbox: &Sandbox, node: &Node, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    let program = if node.program == Path::new("node") { which_node() } else { node.program.clone() };
    let folder = program.parent().unwrap().display().to_string();
    command.env("PATH", format!("{folder}:/usr/bin:/bin"));
    command
}

fn which_node() -> std::path::PathBuf {
    let paths = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&paths).map(|folder| folder.join("node")).find(|path| path.is_file()).unwrap()
}

fn javascript_of_both_kinds_is_evaluated(node: &Node) {
    let sandbox = Sandbox::new();
    sandbox.file(
        "cjs/ecosystem.config.js",
        "module.exports = { apps: [{ name: 'a', script: '/bin/sleep', args: 1000 }] };",
    );
    sandbox.file("cjs2/pm2.config.cjs", "exports.apps = { name: 'b', script: '/bin/sleep', args: ['1000'] };");
    sandbox.file(
        "esm/ecosystem.config.mjs",
        "export default { apps: [{ name: 'c', script: '/bin/sleep', args: '1000' }] };",
    );
    sandbox
        .file("named/ecosystem.config.mjs", "export const apps = [{ name: 'd', script: '/bin/sleep', args: '1000' }];");
    sandbox.file(
        "json/pm2.json",
        "{ // PM2 takes this for JSON\n apps: [{ name: 'e', script: '/bin/sleep', args: '1000', }] }",
    );
    for (file, id) in [
        ("cjs/ecosystem.config.js", "cjs:a/0"),
        ("cjs2/pm2.config.cjs", "cjs2:b/0"),
        ("esm/ecosystem.config.mjs", "esm:c/0"),
        ("named/ecosystem.config.mjs", "named:d/0"),
        ("json/pm2.json", "json:e/0"),
    ] {
        with_node(&sandbox, node, &["apply", file]).ok();
        let before = sandbox.pm(&["list", "-A", "--json"]).json();
        assert!(before.to_string().contains("\"running\""), "{id}: {before}");
        with_node(&sandbox, node, &["apply", file]).ok().says(&["nothing to do"]);
    }
    assert_eq!(sandbox.app_processes().len(), 5);
}

fn what_cannot_be_evaluated_is_told_and_nothing_starts(node: &Node) {
    let sandbox = Sandbox::new();
    for (text, words) in [
        ("\nthrow new Error('DB_URL is missing');", "line 2: DB_URL is missing"),
        ("module.exports = () => ({ apps: [] });", "it exports a function"),
        ("require('pm-has-no-such-module');", "Cannot find module 'pm-has-no-such-module'"),
        ("const a = { script: 'a.js' }; a.self = a; module.exports = [a];", "`[0].self` contains itself"),
        ("process.exit(3)", "exit code 3 before it exported anything"),
        ("module.exports = { apps: [ { name: 'a' script: 'x' } ] };", "line 1: Unexpected"),
        ("module.exports = new Promise(() => {});", "before it exported anything"),
        ("module.exports = { app: [] };", "there is no key `apps`; it has app"),
        ("module.exports = { apps: [{ name: 'x' }] };", "apps[0]: there is no `script`"),
        ("", "there is no key `apps`; it is empty"),
        ("module.exports = { apps: [{ script: 'x', env: { A: 'x'.repeat(5e6) } }] };", "more than 4 MiB"),
    ] {
        sandbox.file("ecosystem.config.js", text);
        with_node(&sandbox, node, &["apply"]).code(65).says(&["ecosystem.config.js", words]);
    }
    assert!(!sandbox.home().join("run/pm.sock").exists(), "a daemon was started");
}

#[test]
fn one_that_hangs_is_ended() {
    let sandbox = Sandbox::new();
    sandbox.file("ecosystem.config.js", "while (true) {}");
    with_node(&sandbox, &node(20), &["check"]).code(65).says(&["was not evaluated within 10 s"]);
    let left = sandbox.processes();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_node_the_way_out_is_told() {
    let sandbox = Sandbox::new();
    sandbox.file("ecosystem.config.js", "module.exports = []");
    let answer = run(sandbox.command(&["plan"]).env("PATH", sandbox.path("nowhere")));
    answer.code(65).says(&["`node` is needed to read", "pm import"]);
    sandbox.file("pm2.json", r#"[{ "name": "a", "script": "/bin/true" }]"#);
    run(sandbox.command(&["check", "pm2.json"]).env("PATH", sandbox.path("nowhere"))).ok();
}

#[test]
fn what_it_prints_is_passed_on_and_json_stays_clean() {
    let sandbox = Sandbox::new();
    let app = "{ name: 'a', script: '/bin/true', vizion: true, f() {} }";
    sandbox
        .file("ecosystem.config.js", format!("console.log('hello'); console.error('there'); module.exports = [{app}]"));
    let checked = with_node(&sandbox, &node(20), &["check", "--json"]).ok().says(&["hello", "there"]);
    let found = checked.json()["diagnostics"].as_array().unwrap().clone();
    let codes: Vec<&str> = found.iter().map(|found| found["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["pm2", "pm2"], "{found:?}");
    assert!(found.iter().all(|found| found["severity"] == "warning" && found["place"].is_null()), "{found:?}");
    with_node(&sandbox, &node(20), &["check"]).ok().says(&["note: a.vizion: ignored", "note: [0].f: ignored"]);
    with_node(&sandbox, &node(20), &["plan"])
        .ok()
        .says(&["2 keys are ignored or different from PM2; `pm check` lists them"]);
}

#[test]
fn the_profile_is_seen_by_the_file_as_with_pm2() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "ecosystem.config.js",
        "const at = process.argv.indexOf('--env');
         const name = at < 0 ? 'none' : process.argv[at + 1];
         module.exports = [{ name: 'a', script: '/bin/sleep', args: ['1000'], append_env_to_name: true,
                             env: { FROM: name, B: 1 }, env_prod: { B: 2 } }]",
    );
    with_node(&sandbox, &node(20), &["apply", "--env", "prod"]).ok();
    let env = sandbox.pm(&["env", "a-prod"]).ok();
    env.says(&["FROM=prod", "B=2"]);
}

#[test]
fn what_pm2_only_warns_of_is_no_error() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "ecosystem.config.js",
        "module.exports = [{ name: 'job', script: '/bin/sleep', args: ['1000'], instances: 1 },
                           { name: 'nightly', script: 'job.js', instances: 1, autorestart: false, cron_restart: '0 3 * * *' }]",
    );
    sandbox.file("job.js", "");
    let applied = with_node(&sandbox, &node(20), &["apply", "--env", "nowhere"]).ok();
    applied.says(&["ignored or different from PM2"]);
    with_node(&sandbox, &node(20), &["check", "--env", "nowhere"]).ok().says(&["no app has `env_nowhere`"]);
    assert_eq!(sandbox.instance("job/0").unwrap().phase, "running");
}

#[test]
fn nothing_of_the_shell_is_copied_and_a_new_session_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "ecosystem.config.js",
        "module.exports = [{ name: 'a', script: '/bin/sleep', args: ['1000'], env: { ...process.env, MODE: 'x' } },
                           { name: 'b', script: '/bin/sleep', args: ['1000'], env: { KEY: process.env.API_KEY } }]",
    );
    let in_session = |args: &[&str], session: &str| {
        let mut command = command(&sandbox, &node(20), args);
        command.env("API_KEY", "k3y-of-somebody").env("OLDPWD", session).env("SSH_CONNECTION", session);
        run(&mut command)
    };
    in_session(&["import"], "/one").ok().says(&["2 apps"]);
    let written = sandbox.read("ecosystem.toml");
    assert!(!written.contains("k3y-of-somebody") && written.contains("${API_KEY}"), "{written}");
    assert!(written.contains("inherit = ["), "{written}");
    for file in ["ecosystem.toml", "ecosystem.config.js"] {
        in_session(&["apply", file, "--replace-files"], "/one").ok();
        in_session(&["apply", file], "/two").ok().says(&["nothing to do"]);
        sandbox.pm(&["env", "a"]).ok().says(&["MODE=x", "API_KEY="]);
        sandbox.pm(&["delete", "all"]).ok();
    }
}

#[test]
fn an_imported_file_means_the_same_and_replaces_nothing_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.file("app/main.js", "setInterval(() => {}, 1e6)");
    sandbox.file(
        "ecosystem.config.js",
        "const path = require('path');
         module.exports = { apps: [{
             name: 'my api', script: './main.js', cwd: path.join(__dirname, 'app'), instances: '2', exec_mode: 'fork',
             kill_timeout: 3000, time: true, out_file: 'logs/out.log', max_memory_restart: '300M',
             env: { A: 1, B: '${C}' }, env_production: { A: 2 } }], deploy: {} }",
    );
    let node = node(20);
    with_node(&sandbox, &node, &["import"]).ok().says(&["my-api.name: `my api` becomes", "1 app", "`pm plan`"]);
    let written = sandbox.read("ecosystem.toml");
    for line in [
        "kill_signal = \"SIGINT\"",
        "log_timestamps = \"%Y-%m-%dT%H:%M:%S\"",
        "kill_timeout = \"3s\"",
        "B = \"$${C}\"",
        "env_production",
    ] {
        assert!(written.contains(line), "{line}: {written}");
    }
    with_node(&sandbox, &node, &["import"]).code(8).says(&["exists already", "--force"]);
    with_node(&sandbox, &node, &["apply", "ecosystem.config.js"]).ok();
    let before = [sandbox.pid("my-api/0"), sandbox.pid("my-api/1")];
    with_node(&sandbox, &node, &["apply", "ecosystem.toml", "--replace-files"]).ok();
    assert_eq!(before, [sandbox.pid("my-api/0"), sandbox.pid("my-api/1")], "the same apps");
    let shown = with_node(&sandbox, &node, &["import", "-o", "-"]).ok();
    assert_eq!(shown.stdout, written);
}

#[test]
fn folders_of_another_machine_do_not_keep_a_file_from_being_imported() {
    let sandbox = Sandbox::new();
    sandbox.file("ecosystem.config.js", "module.exports = [{ name: 'a', script: 'a.js', cwd: '/srv/of/another' }]");
    with_node(&sandbox, &node(20), &["import"]).ok().says(&["1 app", "`pm check` shows what is to be changed"]);
    with_node(&sandbox, &node(20), &["check", "ecosystem.toml"]).code(65).says(&["/srv/of/another"]);
}
