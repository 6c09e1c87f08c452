//! pitchfork: without `ready_delay = 0` every start would wait three seconds.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "pitchfork", program: "pitchfork", declare, words: verbs, env }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let mut text = "namespace = \"bench\"\n".to_owned();
    for number in 0..count {
        let run = format!("exec {}", command.join(" "));
        let _ = writeln!(text, "[daemons.{}]\nrun = {run:?}\nready_delay = 0\nretry = true", app(number));
    }
    place.write("pitchfork.toml", &text);
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot => "supervisor start".to_owned(),
        Verb::Apply | Verb::Again => "start -l -q".to_owned(),
        Verb::List => "list".to_owned(),
        Verb::Restart(number) => format!("restart {}", app(number)),
        Verb::Stop => "stop -l".to_owned(),
        Verb::ShutDown => "supervisor stop".to_owned(),
    })
}

fn env(place: &Place) -> Vec<(&'static str, String)> {
    vec![("PITCHFORK_STATE_DIR", place.path("pitchfork"))]
}
