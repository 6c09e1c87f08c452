//! shep: `start` of a file declares and starts what it names.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "shep", program: "shep", declare, words: verbs, env }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let mut text = String::new();
    for number in 0..count {
        let (name, script, args) = (app(number), &command[0], &command[1..]);
        let _ = write!(text, "[[app]]\nname = {name:?}\nscript = {script:?}\nargs = {args:?}\n\n");
    }
    place.write("Flockfile.toml", &text);
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot => "muster".to_owned(),
        Verb::Apply | Verb::Again => "start Flockfile.toml".to_owned(),
        Verb::List => "ls".to_owned(),
        Verb::Restart(number) => format!("restart {}", app(number)),
        Verb::Stop => "stop all".to_owned(),
        Verb::ShutDown => "kill".to_owned(),
    })
}

fn env(place: &Place) -> Vec<(&'static str, String)> {
    // It makes no home by itself that a variable names.
    std::fs::create_dir_all(place.root.join("shep")).unwrap_or_default();
    vec![("SHEP_HOME", place.path("shep"))]
}
