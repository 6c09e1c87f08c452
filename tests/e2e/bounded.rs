//! A short file can stand for a long one: what it would become is bounded, and so is what the daemon accepts.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use crate::support::{Sandbox, run};

/// What a check may use in all, in bytes: program, stack, files and what becomes of them.
const MEMORY_MAX: u64 = 300 << 20;

fn toml_apps(count: usize, head: &str, keys: &str) -> String {
    let apps = (0..count).map(|number| format!("[[apps]]\nname = \"a{number}\"\ncommand = \"sleep 1\"\n{keys}"));
    format!("project = \"shop\"\n{head}{}", apps.collect::<String>())
}

fn pairs(count: usize, pair: impl Fn(usize) -> String, separator: &str) -> String {
    (0..count).map(pair).collect::<Vec<_>>().join(separator)
}

/// Files of at most 4 MiB, most of them far smaller, that stand for hundreds of megabytes.
fn files() -> Vec<(&'static str, String)> {
    let long = |bytes: usize| "x".repeat(bytes);
    let texts = |count: usize| pairs(count, |number| format!("V{number} = \"{}\"", long(1000)), ", ");
    let yaml = |env: String| format!("project: shop\napps:\n- name: a\n  command: sleep 1\n  env:\n{env}");
    let nested = |inside: String| {
        let open = pairs(60, |number| format!("&a{number} ["), " ");
        format!("project: shop\nx: {open}{inside}{}\n", "]".repeat(60))
    };
    vec![
        (
            "one-text.yaml",
            yaml(format!("    A: &t '{}'\n{}", long(79_000), pairs(2000, |number| format!("    B{number}: *t"), "\n"))),
        ),
        (
            "one-table.yaml",
            format!(
                "project: shop\napps:\n- name: a\n  command: sleep 1\n  env: &e {{ A: {} }}\n{}\n",
                long(200_000),
                pairs(2000, |number| format!("- {{ name: b{number}, command: sleep 1, env: *e }}"), "\n")
            ),
        ),
        ("nested-texts.yaml", nested(pairs(3, |_| format!("'{}'", long(1_000_000)), ", "))),
        ("nested-values.yaml", nested(pairs(90_000, |_| "1".to_owned(), ","))),
        ("defaults.toml", toml_apps(2000, &format!("[defaults]\nenv = {{ {} }}\n", texts(1000)), "")),
        ("env-file.toml", toml_apps(2000, "[defaults]\nenv_file = \"defaults.env\"\n", "")),
        ("inherit.toml", toml_apps(4000, "[defaults]\ninherit = [\"*\"]\n", "")),
        ("one-value.toml", toml_apps(1, "", &format!("env = {{ X = \"{}\" }}\n", "${V}".repeat(200_000)))),
        (
            "many-values.toml",
            toml_apps(
                1,
                "",
                &format!("env = {{ {} }}\n", pairs(5000, |number| format!("X{number} = \"${{V}}${{V}}\""), ", ")),
            ),
        ),
        ("dense.toml", format!("project = \"shop\"\napps = [{}]\n", pairs(1_900_000, |_| "1".to_owned(), ","))),
        ("dense.json", format!("{{\"project\":\"shop\",\"apps\":[{}]}}", pairs(1_900_000, |_| "1".to_owned(), ","))),
        ("mistakes.toml", format!("project = \"shop\"\n{}", "a\n".repeat(2_000_000))),
    ]
}

#[test]
fn a_file_that_stands_for_too_much_is_an_error_with_its_place_and_its_limit() {
    let sandbox = Sandbox::new();
    sandbox.file("defaults.env", pairs(1000, |number| format!("V{number}={}", "y".repeat(1000)), "\n"));
    for (name, text) in files() {
        sandbox.file(name, &text);
        let mut check = sandbox.command(&["check", name]);
        check.env("V", "v".repeat(100_000));
        // SAFETY: setrlimit(2) is async-signal-safe.
        unsafe {
            check.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: MEMORY_MAX, rlim_max: MEMORY_MAX };
                match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let output = run(&mut check).code(65);
        let code = if name == "mistakes.toml" { "error[syntax]" } else { "error[too-large]" };
        assert!(output.stderr.contains(code), "{name}: {output}");
        assert!(output.stderr.contains(&format!("{name}:")), "{name}: no place in {output}");
        assert_eq!(output.stderr.matches("error[").count(), 1, "{name}: {output}");
    }
    assert_eq!(sandbox.processes(), []);
}

#[test]
fn what_passes_the_check_is_accepted_by_the_daemon() {
    let sandbox = Sandbox::new();
    let keys = |bytes: usize| format!("autostart = false\nenv = {{ TEXT = \"{}\" }}\n", "x".repeat(bytes));
    // 20 MiB in one request.
    let texts = pairs(20, |number| format!("T{number} = \"{}\"", "t".repeat(1_000)), ", ");
    sandbox.file("ecosystem.toml", toml_apps(1000, &format!("[defaults]\nenv = {{ {texts} }}\n"), &keys(10)));
    sandbox.pm(&["check"]).ok();
    sandbox.pm(&["apply", "--quiet"]).ok();
    assert_eq!(sandbox.pm(&["list", "--json"]).ok().json()["apps"].as_array().unwrap().len(), 1000);
    // Some 38 MiB.
    let texts = pairs(38, |number| format!("T{number} = \"{}\"", "t".repeat(1_000)), ", ");
    sandbox.file("ecosystem.toml", toml_apps(1000, &format!("[defaults]\nenv = {{ {texts} }}\n"), &keys(10)));
    for command in ["check", "apply"] {
        sandbox.pm(&[command]).code(65).says(&["too-large", "32 MiB", "split the project"]);
    }
}

/// Another client than ours may send anything.
#[test]
fn a_request_that_is_too_large_is_refused_and_the_daemon_lives() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let daemon = sandbox.daemon_pid();
    let mut stream = UnixStream::connect(sandbox.home().join("run/pm.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "POST /v1/apply HTTP/1.1\r\nhost: pm\r\ncontent-length: 4000000000\r\n\r\n").unwrap();
    let piece = vec![b' '; 1 << 20];
    // It stops reading long before the end.
    let _refused = (0..200).try_for_each(|_| stream.write_all(&piece));
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(sandbox.daemon_pid(), daemon);
}
