//! `OxMgr`: its daemon listens on TCP ports, so only one arena at a time may run.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "oxmgr", program: "oxmgr", declare, words: verbs, env }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let mut text =
        "version = 1\n[defaults]\nrestart_policy = \"always\"\ncrash_restart_limit = 0\nmax_restarts = 1000000\n"
            .to_owned();
    for number in 0..count {
        let _ = writeln!(text, "[[apps]]\nname = {:?}\ncommand = {:?}", app(number), command.join(" "));
    }
    place.write("oxfile.toml", &text);
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot | Verb::List => "list".to_owned(),
        Verb::Apply | Verb::Again => "apply oxfile.toml".to_owned(),
        Verb::Restart(number) => format!("restart {}", app(number)),
        Verb::Stop => "stop all".to_owned(),
        Verb::ShutDown => "daemon stop".to_owned(),
    })
}

fn env(place: &Place) -> Vec<(&'static str, String)> {
    vec![
        ("OXMGR_HOME", place.path("oxmgr")),
        ("OXMGR_DAEMON_ADDR", "127.0.0.1:47001".to_owned()),
        ("OXMGR_API_ADDR", "127.0.0.1:47002".to_owned()),
    ]
}
