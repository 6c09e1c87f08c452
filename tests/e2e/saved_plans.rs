//! A saved plan is carried out as it was shown, or not at all; and it holds no secret.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::history::{app, apply, told};
use crate::support::{Output, SOON, Sandbox, kill, run, wait_until};

/// Applies version 1, then saves a plan of version 2.
fn saved() -> Sandbox {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1")]).ok();
    sandbox.ecosystem(&(app("api", "2") + &app("web", "1")));
    sandbox.pm(&["plan", "-o", "release.pmp"]).ok().says(&["env.VERSION", "saved: `pm apply"]);
    sandbox
}

/// The plan does not fit, this is said, and nothing was done.
#[track_caller]
fn assert_stale(sandbox: &Sandbox, words: &[&str]) -> Output {
    let before = sandbox.list();
    let output = sandbox.pm(&["apply", "release.pmp"]).code(4).says(words).says(&["nothing was done"]);
    assert_eq!(sandbox.list(), before, "{output}");
    output
}

/// Files whose text is not read as it stands on the disk.
#[test]
fn a_file_that_is_read_as_another_text_fits_as_long_as_it_is_the_same() {
    for (name, before, after) in [
        ("ecosystem.toml", "\u{feff}[[apps]]\nname = \"a\"\ncommand = \"sleep 1000\"\n", "# changed\n"),
        ("ecosystem.yaml", "\u{feff}apps: [{ name: a, command: sleep 1000 }]\n", "# changed\n"),
        ("pm2.json", "[{ \"name\": \"a\", \"script\": \"/bin/sleep\", \"args\": [\"1000\"] }]", "\n"),
        ("pm2.yml", "apps: [{ name: a, script: /bin/sleep, args: ['1000'] }]\n", "# changed\n"),
        ("package.json", "{ \"pm2\": [{ \"name\": \"a\", \"script\": \"/bin/sleep\", \"args\": [\"1000\"] }] }", "\n"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.file(name, before);
        sandbox.pm(&["plan", name, "-o", "release.pmp"]).ok();
        sandbox.file(name, format!("{before}{after}"));
        assert_stale(&sandbox, &[name, "has changed"]);
        sandbox.file(name, before);
        sandbox.pm(&["apply", "release.pmp"]).ok().says(&["started"]);
        let digest =
            sandbox.pm(&["history", "--json"]).ok().json()["entries"][0]["provenance"]["files"][0]["digest"].clone();
        let digest = digest.as_str().unwrap();
        assert_eq!(digest, &sha256(before.as_bytes())[..32], "{name}: the digest of the file, its first half");
    }
}

/// As `sha256sum` prints it.
fn sha256(bytes: &[u8]) -> String {
    let mut program = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(bytes).unwrap();
    let printed = String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap();
    printed.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn it_is_shown_and_carried_out_once() {
    let sandbox = saved();
    let path = sandbox.path("release.pmp");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (api, web) = (sandbox.pid("api/0"), sandbox.pid("web/0"));
    for look in [&["show", "release.pmp"][..], &["describe", "release.pmp"], &["apply", "release.pmp", "--dry-run"]] {
        sandbox.pm(look).ok().says(&["generation 1", "-/+ api", "env.VERSION \"1\" -> \"2\"", "valid for"]);
    }
    assert_eq!(sandbox.pm(&["show", "release.pmp", "--json"]).ok().json()["pm_plan"], 1);
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("web/0")), (api, web));
    // From elsewhere, by its path; the folder of the caller does not matter.
    run(sandbox.command(&["apply", path.to_str().unwrap()]).current_dir("/")).ok().says(&["roll"]);
    assert_ne!(sandbox.pid("api/0"), api);
    assert_eq!(sandbox.pid("web/0"), web);
    // It was a plan of generation 1.
    assert_stale(&sandbox, &["generation 2", "no longer at 1", "an apply by"]);
    // Saved again, over the old one, there is nothing to do, and that is done.
    sandbox.pm(&["plan", "-o", "release.pmp"]).ok();
    sandbox.pm(&["apply", "release.pmp"]).ok().says(&["nothing to do"]);
}

#[test]
fn wherever_the_daemon_dies_a_saved_plan_is_carried_out_once() {
    for point in ["desired.kept:1", "desired.kept:2", "spawn.created:1", "spawn.running:1", "history.concluded:1"] {
        let sandbox = Sandbox::new();
        sandbox.ecosystem(&app("api", "1"));
        // The command that starts the daemon says where it dies.
        run(sandbox.command(&["plan", "-o", "release.pmp"]).env("PM_KILLPOINT", point)).ok();
        let daemon = sandbox.daemon_pid();
        let first = sandbox.pm(&["apply", "release.pmp"]);
        assert!([0, 4, 7].contains(&first.status), "{point}: {first}");
        wait_until(&format!("{point}: the change is concluded"), SOON, || {
            told(&sandbox) == ["1 apply applied healthy +api"]
        });
        assert_ne!(sandbox.daemon_pid(), daemon, "{point}: nothing was killed");
        assert_eq!(sandbox.app_processes().len(), 1, "{point}");
        assert_stale(&sandbox, &["generation 1, no longer"]);
    }
}

#[test]
fn whatever_came_in_between_is_told() {
    let sandbox = saved();
    let two = sandbox.read("ecosystem.toml");
    fs::write(sandbox.path("ecosystem.toml"), format!("{two}\n# a comment\n")).unwrap();
    assert_stale(&sandbox, &["ecosystem.toml` has changed"]);
    fs::remove_file(sandbox.path("ecosystem.toml")).unwrap();
    assert_stale(&sandbox, &["ecosystem.toml` is gone"]);
    fs::write(sandbox.path("ecosystem.toml"), "what is this").unwrap();
    assert_stale(&sandbox, &["ecosystem.toml` has changed"]);
    fs::write(sandbox.path("ecosystem.toml"), &two).unwrap();
    // The files are the same, and what runs is not: `web` was stopped.
    sandbox.pm(&["stop", "web"]).ok();
    assert_stale(&sandbox, &["no longer at 1", "pm events"]);

    // The generation is the same, and what would be done is not: an app was given up.
    let sandbox = saved();
    kill(sandbox.pid("web/0"), libc::SIGKILL);
    sandbox.wait_phase("web/0", "errored");
    assert_stale(&sandbox, &["no longer the one that was shown", "now: ", "retrying after giving up"]);
}

#[test]
fn another_shell_another_variable_and_another_secret_are_noticed() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nenv_file = \"api.env\"\n\
         env = { TAG = \"${TAG}\", DB_PASSWORD = \"${DB_PASSWORD:-}\" }\n",
    );
    sandbox.file("api.env", "API_TOKEN=zq7xsavedtoken\n");
    let secrets = ["zq7xsavedtoken", "zq7xsavedpassword", "zq7xsavedvar"];
    let with = |args: &[&str], password: &str| run(sandbox.command(args).env("DB_PASSWORD", password));
    let planned = with(&["plan", "-o", "release.pmp", "--var", "TAG=zq7xsavedvar-secret", "--json"], secrets[1]).ok();
    let text = sandbox.read("release.pmp");
    for secret in &secrets[..2] {
        assert!(!text.contains(secret) && !planned.stdout.contains(secret), "{secret}: {text}");
    }
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["vars"]["TAG"].as_str().unwrap().len(), 32, "of a variable only the digest: {}", file["vars"]);
    let apply = |args: &[&str], password: &str| with(&[&["apply", "release.pmp"], args].concat(), password);
    apply(&[], secrets[1]).code(4).says(&["`--var TAG=…`: give it again"]);
    apply(&["--var", "TAG=other"], secrets[1]).code(4).says(&["`--var TAG` is another value"]);
    let tag = &["--var", "TAG=zq7xsavedvar-secret"][..];
    let other = apply(tag, "zq7xanotherpassword").code(4).says(&["`api` is declared otherwise"]);
    assert!(!other.to_string().contains("zq7xanother"), "{other}");
    run(sandbox
        .command(&[&["apply", "release.pmp"], tag].concat())
        .env("DB_PASSWORD", secrets[1])
        .env("LANG", "de_DE"))
    .code(4)
    .says(&["`LANG` is another value in this shell"]);
    sandbox.file("api.env", "API_TOKEN=zq7xanothertoken\n");
    apply(tag, secrets[1]).code(4).says(&["api.env` has changed"]);
    sandbox.file("api.env", "API_TOKEN=zq7xsavedtoken\n");
    assert!(sandbox.list().is_empty());
    apply(tag, secrets[1]).ok();
    sandbox.pid("api/0");
}

#[test]
fn an_old_plan_a_foreign_one_and_a_damaged_one_are_refused() {
    let sandbox = saved();
    let text = sandbox.read("release.pmp");
    let altered = |change: &dyn Fn(&mut Value)| {
        // The mark stays the first key, so the text is changed rather than written anew.
        let mut file: Value = serde_json::from_str(&text).unwrap();
        change(&mut file);
        let rest = file.as_object().unwrap().iter().filter(|(key, _)| *key != "pm_plan");
        let rest: Vec<String> = rest.map(|(key, value)| format!("{}: {value}", Value::from(key.as_str()))).collect();
        sandbox.file("release.pmp", format!("{{\"pm_plan\": {}, {}}}", file["pm_plan"], rest.join(", ")));
    };
    altered(&|file| file["expires_at"] = 1.into());
    assert_stale(&sandbox, &["saved more than 24 hours ago"]);
    sandbox.pm(&["show", "release.pmp"]).ok().says(&["expired"]);
    altered(&|file| file["home"] = "/nowhere".into());
    assert_stale(&sandbox, &["a plan of `/nowhere`"]);
    altered(&|file| file["saved_at"] = u64::MAX.into());
    assert_stale(&sandbox, &["the clock was set back"]);
    altered(&|file| file["plan"]["operations"] = Value::Array(Vec::new()));
    assert_stale(&sandbox, &["now: -/+ api"]);
    altered(&|file| file["pm_plan"] = 2.into());
    sandbox.pm(&["apply", "release.pmp"]).code(65).says(&["has format 2; this version knows 1"]);
    for end in [20, 300, text.len() / 2] {
        sandbox.file("release.pmp", &text[..end]);
        sandbox.pm(&["apply", "release.pmp"]).code(65).says(&["is damaged"]);
        sandbox.pm(&["show", "release.pmp"]).code(65).says(&["is damaged"]);
    }
    sandbox.file("release.pmp", &text);
    for wrong in [&["--only", "api"][..], &["--ask"], &["--again"], &["--env", "production"], &["--if-generation", "1"]]
    {
        sandbox.pm(&[&["apply", "release.pmp"], wrong].concat()).code(64).says(&["has its options already"]);
    }
    sandbox.pm(&["apply", "release.pmp"]).ok();
}

#[test]
fn only_a_plan_that_could_be_applied_is_saved_and_no_other_file_is_lost() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&app("api", "1"));
    let before = sandbox.read("ecosystem.toml");
    sandbox.pm(&["plan", "-o", "ecosystem.toml"]).code(64).says(&["exists and is not a saved plan"]);
    assert_eq!(sandbox.read("ecosystem.toml"), before);
    sandbox.pm(&["plan", "-o", "no/such/folder.pmp"]).code(1).says(&["cannot write the plan"]);
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem("");
    sandbox.pm(&["plan", "-o", "release.pmp"]).code(8).says(&["the plan was not saved", "--allow-empty"]);
    assert!(!sandbox.path("release.pmp").exists());
    // The options are part of it.
    sandbox.pm(&["plan", "-o", "release.pmp", "--allow-empty"]).ok();
    sandbox.pm(&["apply", "release.pmp"]).ok();
    assert!(sandbox.list().is_empty());
    // A new project is planned as such.
    let file = sandbox.file("blog/ecosystem.toml", format!("project = \"blog\"\n{}", app("post", "1")));
    let file = file.to_str().unwrap();
    sandbox.pm(&["plan", file, "-o", "blog.pmp"]).ok();
    sandbox.pm(&["apply", file]).ok();
    sandbox.pm(&["apply", "blog.pmp"]).code(4).says(&["is at generation 1, and not new"]);
}

#[test]
fn a_generation_can_be_demanded() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&app("api", "1"));
    sandbox.pm(&["apply", "--if-generation", "3"]).code(4).says(&["is new, and not at generation 3"]);
    sandbox.pm(&["apply", "--if-generation", "0"]).ok();
    sandbox.pm(&["apply", "--if-generation", "0"]).code(4).says(&["at generation 1, and not new", "an apply by"]);
    sandbox.ecosystem(&app("api", "2"));
    sandbox.pm(&["plan", "--if-generation", "7"]).code(4).says(&["`pm apply` would be refused", "no longer at 7"]);
    sandbox.pm(&["apply", "--if-generation", "1"]).ok();
    sandbox.pm(&["rollback", "--if-generation", "1"]).code(4).says(&["at generation 2, no longer at 1"]);
    sandbox.pm(&["rollback", "--if-generation", "2"]).ok();
    sandbox.pm(&["apply", "--again", "--if-generation", "2"]).code(4).says(&["a rollback by"]);
}
