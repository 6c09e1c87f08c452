//! decompose: one daemon per project, and none without a process; so an empty project has one that sleeps.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "decompose", program: "decompose", declare, words: verbs, env }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let mut text = "processes:\n  placeholder:\n    command: \"exec sleep 100000\"\n".to_owned();
    for number in 0..count {
        let run = format!("exec {}", command.join(" "));
        let _ = writeln!(text, "  {}:\n    command: {run:?}\n    restart_policy: always", app(number));
    }
    place.write("decompose.yaml", &text);
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot | Verb::Apply | Verb::Again => "up -d --wait".to_owned(),
        Verb::List => "ps".to_owned(),
        Verb::Restart(number) => format!("restart {}", app(number)),
        Verb::Stop | Verb::ShutDown => "down".to_owned(),
    })
}

fn env(place: &Place) -> Vec<(&'static str, String)> {
    for name in ["state", "run"] {
        std::fs::create_dir_all(place.root.join(name)).unwrap_or_default();
    }
    vec![("XDG_STATE_HOME", place.path("state")), ("XDG_RUNTIME_DIR", place.path("run"))]
}
