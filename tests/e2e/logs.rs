//! What an app prints is kept, byte for byte.

use crate::support::{SOON, Sandbox, fixture, free_port, wait_until};

fn file(script: &str) -> String {
    format!("[[apps]]\nname = \"api\"\nscript = {:?}\n", fixture(script))
}

fn wait_for_end(sandbox: &Sandbox, end: &str) -> Vec<u8> {
    wait_until(&format!("the log ends with {end:?}"), SOON, || {
        sandbox.log_text("api", "out", 0).ends_with(end.as_bytes())
    });
    sandbox.log_text("api", "out", 0)
}

#[test]
fn logs_shows_the_last_lines_of_both_outputs() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"api\"\ncommand = '''sh -c \"seq 50; echo problem >&2; exec sleep 1000\"'''\n",
    );
    wait_for_end(&sandbox, "50\n");
    wait_until("the other output is there too", SOON, || sandbox.log_text("api", "error", 0) == b"problem\n");
    let all = sandbox.pm(&["logs", "api", "--lines", "10"]).ok().says(&["50", "problem"]);
    assert!(!all.stdout.contains("12"), "more than ten lines: {all}");
    let out = sandbox.pm(&["logs", "api", "--stdout", "--lines", "3"]).ok();
    let last: Vec<&str> = out.stdout.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(last, ["48", "49", "50"]);
    sandbox.pm(&["logs", "api", "--stderr"]).ok().says(&["problem"]);
}

#[test]
fn bytes_that_are_no_text_are_kept_and_the_app_lives() {
    let sandbox = Sandbox::applied(&file("invalid_utf8.sh"));
    assert_eq!(wait_for_end(&sandbox, "after\n"), b"before\nbad \xff\xfe bytes\nafter\n");
    sandbox.pm(&["logs", "api"]).ok().says(&["before", "bad ", " bytes", "after"]);
    assert_eq!(sandbox.instance("api/0").unwrap().restarts, 0);
}

#[test]
fn a_line_of_ten_megabytes_is_kept_whole() {
    let sandbox = Sandbox::applied(&format!("{}log_rotate = {{ size = \"64M\", keep = 1 }}\n", file("long_line.sh")));
    let log = wait_for_end(&sandbox, "short\n");
    assert_eq!(log.len(), 10_485_760 + "\nshort\n".len());
    sandbox.pm(&["logs", "api", "--lines", "1"]).ok().says(&["short"]);
}

#[test]
fn an_app_that_closes_its_outputs_lives_on() {
    let sandbox = Sandbox::applied(&file("closes_output.sh"));
    assert_eq!(wait_for_end(&sandbox, "before\n"), b"before\n");
    let pid = sandbox.pid("api/0");
    sandbox.kill_daemon();
    assert_eq!(sandbox.pid("api/0"), pid);
}

#[test]
fn following_shows_lines_as_they_come() {
    let sandbox = Sandbox::new();
    sandbox.file("said.sh", "tail -n +1 -f said");
    sandbox.file("said", "first\n");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh said.sh\"\n");
    sandbox.pm(&["apply"]).ok();
    wait_for_end(&sandbox, "first\n");
    let shown = sandbox.path("shown");
    let out = std::fs::File::create(&shown).unwrap();
    let mut follower = sandbox.command(&["logs", "-f", "api"]).stdout(out).spawn().unwrap();
    wait_until("the follower shows the first line", SOON, || sandbox.read("shown").contains("first"));
    let mut said = std::fs::OpenOptions::new().append(true).open(sandbox.path("said")).unwrap();
    std::io::Write::write_all(&mut said, b"second\n").unwrap();
    wait_until("the follower shows the second line", SOON, || sandbox.read("shown").contains("second"));
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(sandbox.read("shown").matches("first").count(), 1);
}

#[test]
fn who_follows_sees_the_first_and_the_last_words_of_apps_that_come_and_go() {
    let sandbox = Sandbox::new();
    sandbox.file("polite.sh", "trap 'echo goodbye; exit' TERM; echo hello; while :; do sleep 0.05; done");
    let app = |number: usize| format!("[[apps]]\nname = \"app{number}\"\ncommand = \"sh polite.sh\"\n");
    sandbox.ecosystem(&app(0));
    sandbox.pm(&["apply"]).ok();
    let out = std::fs::File::create(sandbox.path("shown")).unwrap();
    let mut follower = sandbox.command(&["logs", "-f"]).stdout(out).spawn().unwrap();
    let shown = |words: &str| sandbox.read("shown").matches(words).count();
    wait_until("it follows", SOON, || shown("hello") == 1);
    for round in 1..=5 {
        sandbox.ecosystem(&(0..=20).map(app).collect::<String>());
        sandbox.pm(&["apply"]).ok();
        wait_until("all have said hello", SOON, || shown("hello") > 20 * round);
        sandbox.ecosystem(&app(0));
        sandbox.pm(&["apply", "--yes"]).ok();
        wait_until("all have said goodbye", SOON, || shown("goodbye") >= 20 * round);
        assert_eq!((shown("hello"), shown("goodbye")), (1 + 20 * round, 20 * round), "nothing is shown twice");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn two_apps_are_shown_with_prefixes() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"one\"\ncommand = \"sh -c 'echo from-one; exec sleep 1000'\"\n[[apps]]\nname = \"two\"\ncommand = \"sh -c 'echo from-two; exec sleep 1000'\"\n",
    );
    wait_until("both have spoken", SOON, || {
        let shown = sandbox.pm(&["logs"]).ok().stdout;
        let has = |app: &str| shown.lines().any(|line| line.contains(app) && line.ends_with(&format!("from-{app}")));
        has("one") && has("two")
    });
}

#[test]
fn a_log_that_cannot_be_written_is_an_event_that_says_what_to_do_and_harms_nothing() {
    let sandbox = Sandbox::new();
    let in_the_way = sandbox.file("in-the-way", "a file");
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = '''sh -c \"echo hello; exec sleep 1000\"'''\nout_file = \"in-the-way/api.log\"\n",
    );
    sandbox.pm(&["apply"]).ok();
    let path = in_the_way.join("api.log");
    let told = || sandbox.events().into_iter().find(|event| event.about == "shop:api/0" && event.fact == "trouble");
    wait_until("the trouble is told", SOON, || told().is_some());
    sandbox.pm(&["events"]).ok().says(&[
        "cannot open `",
        path.to_str().unwrap(),
        "Not a directory",
        "name another file in `out_file`",
    ]);
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "running");
    sandbox.pm(&["describe", "api"]).ok();
    assert_eq!(sandbox.read("in-the-way"), "a file");
}

#[test]
fn a_log_file_is_named_after_the_port_of_its_copy() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"api\"\ncommand = '''sh -c \"echo at $PORT; exec sleep 1000\"'''\nport = {port}\ninstances = 2\n\
         out_file = \"logs/api-${{PORT}}.log\"\n"
    ));
    sandbox.pm(&["apply"]).ok();
    for slot in [0, 1] {
        let (port, other) = (port + slot, port + 1 - slot);
        let path = sandbox.path(&format!("logs/api-{port}.log"));
        let copy = format!("api/{slot}");
        wait_until("the line is in its file", SOON, || std::fs::read(&path).is_ok_and(|text| !text.is_empty()));
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&other.to_string()));
        sandbox.pm(&["logs", &copy]).ok().says(&[&format!("at {port}")]);
        let logs = sandbox.pm(&["describe", &copy, "--json"]).ok().json()["apps"][0]["logs"].clone();
        assert_eq!(logs[0]["stdout"], path.display().to_string(), "{logs}");
    }
    let mut names = std::fs::read_dir(sandbox.path("logs")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().contains('$')), "a file is named after no port");
}

#[test]
fn what_stands_in_the_place_of_a_log_is_named_and_an_error() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let log = sandbox.home().join("logs/shop/api-out-0.log");
    let fifo = std::ffi::CString::new(log.to_str().unwrap()).unwrap();
    sandbox.pm(&["stop", "api"]).ok();
    for is_fifo in [false, true] {
        let _ = std::fs::remove_file(&log);
        if is_fifo {
            // SAFETY: a C string.
            assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        } else {
            std::fs::create_dir_all(&log).unwrap();
        }
        let path = log.to_str().unwrap();
        sandbox.pm(&["logs", "api"]).code(1).says(&["cannot read", path]);
        sandbox.pm(&["logs", "api", "--json"]).code(1).says(&[path]);
        let _ = std::fs::remove_dir(&log);
    }
}

#[test]
fn a_new_process_begins_a_new_line() {
    let sandbox = Sandbox::new();
    let lives = "printf 'life %s: last words' $(cat count); echo x >>count; printf 'no end' >&2; exec sleep 1000";
    sandbox.file("count", "0");
    sandbox.file("api.sh", lives);
    let text = "[[apps]]\nname = \"api\"\ncommand = \"sh api.sh\"\nready = { log = \"^life\", timeout = \"20s\" }\n";
    sandbox.ecosystem(text);
    sandbox.pm(&["apply"]).ok();
    wait_for_end(&sandbox, "words");
    sandbox.pm(&["restart", "api"]).ok(); // its line is found only at the beginning of a line
    sandbox.pm(&["delete", "api"]).ok();
    sandbox.pm(&["apply"]).ok(); // and so after the app was gone
    let count = |stream: &str| String::from_utf8_lossy(&sandbox.log_text("api", stream, 0)).lines().count();
    wait_until("three lives, three lines", SOON, || count("out") >= 3 && count("error") >= 3);
    let text = String::from_utf8(sandbox.log_text("api", "out", 0)).unwrap();
    assert!(text.lines().filter(|line| line.starts_with("life")).count() == 3, "{text}");
    assert!(!text.contains("\n\n"), "{text}");
}

#[test]
fn the_next_daemon_continues_the_line_of_a_process_that_lives() {
    let sandbox = Sandbox::new();
    sandbox.file("api.sh", "printf 'one '; while [ ! -e go ]; do sleep 0.05; done; echo line; exec sleep 1000");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh api.sh\"\n");
    sandbox.pm(&["apply"]).ok();
    wait_for_end(&sandbox, "one ");
    sandbox.kill_daemon();
    sandbox.pm(&["list"]).ok();
    sandbox.file("go", "");
    assert_eq!(wait_for_end(&sandbox, "line\n"), b"one line\n");
}
