//! Text of others (output, file names, messages, values) shows itself on a terminal and steers nothing.

use crate::support::{SOON, Sandbox, Terminal, wait_for, wait_until};

/// A title, a cleared screen, the clipboard, a link, an overwritten line, C1 codes, a reversed name.
const HOSTILE: &str = "\x1b]0;t\x07\x1b[2J\x1b]52;c;aGk=\x07\x1b]8;;http://e/\x1b\\l\x1b]8;;\x1b\\a\rb\u{9b}2J\u{9d}0;x\u{9c}\u{202e}gpj\x1b[8mx\x1b[41my";

/// As a shell writes it.
const PRINTF: &str = r"printf '\033]0;t\007\033[2J\033]52;c;aGk=\007a\rb\302\2332J\342\200\256gpj\033[8mx\n'";

/// What a terminal may be sent: text, line ends, and colours.
#[track_caller]
fn steers_nothing(what: &str, text: &str) {
    let mut rest = text.replace("\r\n", "\n").replace("\r\x1b[K", "");
    // The live region is taken away.
    for lines in 1..9 {
        rest = rest.replace(&format!("\r\x1b[{lines}A\x1b[J"), "");
    }
    while let Some(at) = rest.find(|letter: char| {
        (letter.is_control() && letter != '\n') || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }) {
        let from = rest.split_off(at);
        let colour = from.strip_prefix("\x1b[").and_then(|inner| inner.split_once('m'));
        let is_colour = |part: &str| matches!(part.parse::<u8>(), Ok(0..=4 | 31..=37 | 90..=97));
        match colour {
            Some((numbers, after)) if numbers.split(';').all(is_colour) => after.clone_into(&mut rest),
            _ => panic!("{what} sends {:?}", &from.chars().take(40).collect::<String>()),
        }
    }
}

#[track_caller]
fn on_a_terminal(sandbox: &Sandbox, words: &[&str]) -> String {
    let (terminal, mut child) = Terminal::start(&mut sandbox.command(words), false);
    wait_for(&format!("{words:?} ends"), SOON, || child.try_wait().unwrap());
    let mut last = None;
    wait_until("all of it is read", SOON, || {
        let now = terminal.text();
        let is_same = last.as_ref() == Some(&now);
        last = Some(now);
        is_same
    });
    last.unwrap_or_default()
}

#[test]
fn no_answer_steers_the_terminal() {
    let sandbox = Sandbox::new();
    let folder = format!("dir {}", HOSTILE.replace('/', "_"));
    sandbox.file(&format!("{folder}/x"), "");
    sandbox.file("hostile.env", format!("VALUE=\"{}\"\n", HOSTILE.replace('\\', "_")));
    let shell = |text: &str| format!("{text:?}");
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"api\"\ncommand = {command}\nenv_file = \"hostile.env\"\nwatch = [{folder}]\n\
         watch_delay = \"50ms\"\nbuild = {build}\nnamespace = \"n\\u001b]0;x\\u0007\"\n\
         health = {{ exec = {probe}, interval = \"100ms\", timeout = \"90ms\", action = \"none\" }}\n\
         [[apps]]\nname = \"fails\"\ncommand = {fails}\nrestart = \"never\"\nready = {{ tcp = \"127.0.0.1:9\", timeout = \"2s\" }}\n\
         [[apps]]\nname = \"unbuilt\"\ncommand = \"sleep 1000\"\nbuild = {unbuilt}\n",
        command = shell(&format!("sh -c \"{}; exec sleep 1000\"", PRINTF.replace('\\', "\\\\"))),
        folder = serde_json::to_string(&folder).unwrap(),
        build = shell(&format!("{PRINTF}; test -e built && exit 3; touch built")),
        unbuilt = shell(&format!("{PRINTF}; exit 3")),
        probe = shell(&format!("{PRINTF}; exit 3")),
        fails = shell(&format!("sh -c \"{}; exit 4\"", PRINTF.replace('\\', "\\\\"))),
    ));
    steers_nothing("check", &on_a_terminal(&sandbox, &["check"]));
    steers_nothing("apply", &on_a_terminal(&sandbox, &["apply"]));
    let has = |fact: &str| sandbox.events_of("api").iter().any(|event| event.fact == fact);
    sandbox.file(&format!("{folder}/{}", HOSTILE.replace('/', "_")), "new");
    wait_until("a build has failed", SOON, || has("build_failed"));
    wait_until("a probe has failed", SOON, || has("health_failed"));
    wait_until("it has printed", SOON, || !sandbox.log_text("api", "out", 0).is_empty());
    for words in [
        &["list"][..],
        &["describe", "api"],
        &["describe", "fails"],
        &["why", "api"],
        &["why", "unbuilt"],
        &["why", "fails"],
        &["env", "api"],
        &["events"],
        &["config"],
        &["config", "--sources"],
        &["plan"],
        &["diff"],
        &["projects"],
        &["status"],
        &["list", HOSTILE],
        &["describe", HOSTILE],
        &["start", HOSTILE],
        &["start", &format!("./{HOSTILE}.js")],
        &["apply", HOSTILE],
        &["check", &format!("{HOSTILE}.toml")],
        &["explain", HOSTILE],
        &["scale", "api", HOSTILE],
        &[HOSTILE],
        &["logs", "--since", HOSTILE],
        &["apply", "--only", HOSTILE],
        &["apply", "--profile", HOSTILE],
        &["cron", "list"],
        &["rollout", "status"],
        &["daemon", "status"],
        &["exec", "api", "--", HOSTILE],
    ] {
        steers_nothing(&format!("{words:?}"), &on_a_terminal(&sandbox, words));
        if words[0] != "exec" {
            steers_nothing(&format!("{words:?} --json"), &on_a_terminal(&sandbox, &[words, &["--json"]].concat()));
        }
    }
    // Colours of apps are shown, and nothing else of what they print.
    for words in [&["logs"][..], &["logs", "--raw"], &["logs", "--json"]] {
        let text = on_a_terminal(&sandbox, words).replace("\x1b[8m", "");
        steers_nothing(&format!("{words:?}"), &text);
    }
    // A pipe gets every byte.
    let raw = sandbox.command(&["logs", "api", "--raw"]).output().unwrap().stdout;
    assert_eq!(raw, sandbox.log_text("api", "out", 0));
}

#[test]
fn a_broken_file_does_not_steer_the_terminal() {
    let sandbox = Sandbox::new();
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    for (name, text) in [
        ("a.toml", format!("[[apps]]\nscript = {quoted}\n{quoted} = 1\n")),
        ("b.toml", format!("[[apps]]\nscript = \"{HOSTILE}\"\n")),
        ("c.yaml", format!("apps:\n  - script: {HOSTILE}\n    x: [\n")),
        ("d.json", format!("{{\"apps\":[{{\"script\":{quoted},{quoted}:1}}]}}")),
        ("e.json", format!("{{\"apps\":[{HOSTILE}]}}")),
        (&*format!("f{}.toml", HOSTILE.replace('/', "_")), "x = 1\n".to_owned()),
    ] {
        sandbox.file(name, &text);
        for words in [&["check", name][..], &["apply", name], &["check", name, "--json"]] {
            steers_nothing(&format!("{words:?}"), &on_a_terminal(&sandbox, words));
        }
    }
}
