//! `pm` itself, built with this benchmark: every app declared on its own.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "pm", program: env!("CARGO_BIN_EXE_pm"), declare, words: verbs, env }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let mut text = "project = \"bench\"\n".to_owned();
    for number in 0..count {
        let _ =
            writeln!(text, "[[apps]]\nname = {:?}\nscript = {:?}\nargs = {:?}", app(number), command[0], &command[1..]);
    }
    place.write("ecosystem.toml", &text);
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot | Verb::List => "list".to_owned(),
        Verb::Apply | Verb::Again => "apply -q".to_owned(),
        Verb::Restart(number) => format!("restart {}", app(number)),
        Verb::Stop => "stop all".to_owned(),
        Verb::ShutDown => "shutdown".to_owned(),
    })
}

fn env(place: &Place) -> Vec<(&'static str, String)> {
    vec![("PM_HOME", place.path("pm"))]
}
