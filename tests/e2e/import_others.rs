//! `pm import` of what other tools declare: what PM2 runs or has saved, Procfiles, compose files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Output, Sandbox, node, run, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// Without PM2 on the PATH; `HOME` is the sandbox.
fn command(sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut command = sandbox.command(words);
    command
        .env("PATH", path("/usr/bin:/bin"))
        .env("PM2_HOME", sandbox.path(".pm2"))
        .env("SHELL_SECRET", "from-the-shell");
    command
}

/// With Node in front, where it is not in these folders.
fn path(folders: &str) -> String {
    let program = node(20).program;
    let folder = program.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = || std::env::var("PATH").unwrap();
    folder.map_or_else(|| format!("{folders}:{}", found()), |folder| format!("{folders}:{}", folder.display()))
}

fn import(sandbox: &Sandbox, words: &[&str]) -> Output {
    let words: Vec<&str> = std::iter::once("import").chain(words.iter().copied()).collect();
    run(&mut command(sandbox, &words))
}

/// The list that PM2 7.0.4 has saved of five processes, with its folder replaced by that of the sandbox.
fn recorded(sandbox: &Sandbox) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pm2/dump.json");
    fs::read_to_string(path).unwrap().replace("/srv/shop", sandbox.path("").to_str().unwrap().trim_end_matches('/'))
}

fn with_programs() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app.js", "setInterval(() => {}, 1e6)");
    let script = sandbox.file("s.sh", "#!/bin/bash\nsleep 1000\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.file("src/x.js", "");
    sandbox
}

fn is_that_list(output: Output, written: &str) {
    for line in [
        "name = \"api\"",
        "script = \"./app.js\"",
        "instances = 2",
        "exec_mode = \"cluster\"",
        "args = [\"--a\", \"b c\"]",
        "max_memory_restart = \"300M\"",
        "kill_timeout = \"3s\"",
        "env = { API_KEY = \"own-secret\", PORT = 3000 }",
        "env_production = { PORT = 80 }",
        "inherit = [\"SHELL_SECRET\"]",
        "kind = \"task\"",
        "cron_restart = \"0 3 * * *\"",
        "interpreter_args = [\"--max-old-space-size=200\"]",
        "namespace = \"back\"",
        "command = \"bash -c 'sleep 1000'\"",
        "args = [\"x\", \"y\"]",
        "autorestart = false",
        "w.out.log\"",
    ] {
        assert!(written.contains(line), "{line}: {written}");
    }
    assert_eq!(written.matches("[[apps]]").count(), 4, "two copies are one app, a module is none: {written}");
    for of_shell in ["from-the-shell", "alice", "SSH_TTY", "PM2_", "unique_id", "api = ", "PATH"] {
        assert!(!written.contains(of_shell), "{of_shell}: {written}");
    }
    output.says(&["4 apps", "`pm2-logrotate` is a module of PM2"]);
}

#[test]
fn what_pm2_has_saved_becomes_a_file_without_the_shell_it_was_started_in() {
    let sandbox = with_programs();
    sandbox.file(".pm2/dump.pm2", recorded(&sandbox));
    let output = import(&sandbox, &["--from-pm2"]).ok();
    let written = sandbox.read("ecosystem.toml");
    is_that_list(output, &written);
    let mode = fs::metadata(sandbox.path("ecosystem.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "values of the apps' environment are in it");
    run(&mut command(&sandbox, &["check"])).ok();
    import(&sandbox, &["--from-pm2"]).code(8).says(&["exists already"]);
}

#[test]
fn the_list_before_is_taken_where_the_last_one_is_lost() {
    let sandbox = with_programs();
    sandbox.file(".pm2/dump.pm2", "[{\"name\": ");
    import(&sandbox, &["--from-pm2"]).code(65).says(&["dump.pm2", "is not JSON", "pm2 save"]);
    sandbox.file(".pm2/dump.pm2.bak", recorded(&sandbox));
    import(&sandbox, &["--from-pm2", "-o", "-"]).ok().says(&["name = \"api\""]);
    sandbox.file(".pm2/dump.pm2", "[]");
    import(&sandbox, &["--from-pm2", "-o", "-"]).ok();
    sandbox.file(".pm2/dump.pm2", "[1]");
    import(&sandbox, &["--from-pm2"]).code(65).says(&["it is not a list of PM2's processes"]);
}

/// A stand-in for PM2: it answers `pm2 -s jlist`, and listens where PM2 does.
#[test]
fn a_pm2_that_runs_is_asked() {
    let sandbox = with_programs();
    sandbox.file("jlist", recorded(&sandbox).replace('\n', " "));
    let script = format!("#!/bin/sh\n[ \"$1 $2\" = \"-s jlist\" ] && cat {}\n", sandbox.path("jlist").display());
    let program = sandbox.file("bin/pm2", script);
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(sandbox.path(".pm2")).unwrap();
    let path = path(&format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
    let asked = |words: &[&str]| run(command(&sandbox, words).env("PATH", &path));
    asked(&["import", "--from-pm2"]).code(65).says(&["no PM2 runs"]);
    let _listening = std::os::unix::net::UnixListener::bind(sandbox.path(".pm2/rpc.sock")).unwrap();
    let output = asked(&["import", "--from-pm2"]).ok();
    is_that_list(output, &sandbox.read("ecosystem.toml"));
    assert!(sandbox.read("ecosystem.toml").starts_with("# Made from `pm2 jlist` by `pm import`"));
    // A link of that name to this program is not asked about itself.
    fs::remove_file(sandbox.path("bin/pm2")).unwrap();
    symlink(env!("CARGO_BIN_EXE_pm"), sandbox.path("bin/pm2")).unwrap();
    asked(&["import", "--from-pm2", "--force"]).code(65).says(&["there is no list of its apps"]);
    assert!(!sandbox.home().join("run/pm.sock").exists(), "a daemon was started");
}

#[test]
fn a_procfile_becomes_a_file_that_runs() {
    let sandbox = Sandbox::new();
    sandbox.file(".env", "GREETING=hello\n");
    sandbox.file("Procfile", "web: echo \"$GREETING $PORT\"; exec sleep 1000\nworker: sleep 1000\n");
    sandbox.pm(&["apply"]).code(65).says(&["`Procfile` is not an ecosystem file: `pm import` makes one of it"]);
    sandbox.pm(&["apply", "Procfile"]).code(65).says(&["pm import"]);
    import(&sandbox, &[]).ok().says(&["2 apps", "`pm plan`"]);
    run(&mut command(&sandbox, &["check"])).ok();
    run(&mut command(&sandbox, &["apply"])).ok();
    wait_until("the line of web", LONG, || {
        String::from_utf8_lossy(&sandbox.log_text("web", "out", 0)).contains("hello 5000")
    });
}

#[test]
fn a_compose_file_becomes_a_file_that_can_be_checked() {
    let sandbox = Sandbox::new();
    sandbox.file("api/main.txt", "");
    sandbox.file("web.env", "A=1\n");
    sandbox.file(
        "compose.yaml",
        "x-env: &env\n  MODE: production\n  NAME: ${WHO:-nobody}\n\
         services:\n\
         \x20 db:\n    image: postgres:17\n    volumes: [data:/var/lib/postgresql/data]\n\
         \x20 queue:\n    image: busybox\n    command: [\"sh\", \"-c\", \"touch $$HOME/q; exec sleep 1000\"]\n    restart: always\n\
         \x20   healthcheck: { test: [CMD-SHELL, 'test -e $$HOME/q'], interval: 1s, retries: 5 }\n\
         \x20 migrate:\n    build: .\n    command: \"true\"\n    depends_on: { queue: { condition: service_healthy } }\n\
         \x20 api:\n    build: ./api\n    command: sleep 1000\n    restart: unless-stopped\n    working_dir: /app\n\
         \x20   environment: { <<: *env, LEVEL: 3 }\n    env_file: web.env\n    ports: ['8080:80']\n    stop_grace_period: 3s\n\
         \x20   depends_on:\n      db: { condition: service_started }\n      migrate: { condition: service_completed_successfully }\n\
         volumes: { data: }\n",
    );
    sandbox.pm(&["apply", "compose.yaml"]).code(65).says(&["a compose file", "pm import"]);
    let output = import(&sandbox, &["compose.yaml"]).ok();
    output.says(&["services.db: left out", "api.ports: `8080:80`", "3 apps"]);
    let written = sandbox.read("ecosystem.toml");
    for line in [
        "command = \"sleep 1000\"",
        "cwd = \"./api\"",
        "env = { LEVEL = 3, MODE = \"production\", NAME = \"${WHO:-nobody}\" }",
        "env_file = \"web.env\"",
        "kill_timeout = \"3s\"",
        "kind = \"task\"",
        "depends_on = { migrate = \"completed\" }",
        "# working_dir: `/app` is a folder of the container: it runs in ./api",
    ] {
        assert!(written.contains(line), "{line}: {written}");
    }
    let with_home = |words: &[&str]| run(command(&sandbox, words).env("HOME", sandbox.path("")));
    with_home(&["check"]).ok();
    with_home(&["apply"]).ok();
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "running");
    import(&sandbox, &["web.env"]).code(65);
}
