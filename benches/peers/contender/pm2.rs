//! PM2: `start` of a file that already runs restarts everything, so there is no "again".

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "pm2", program: "pm2", declare, words: verbs, env }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let one = |number: usize| {
        format!(
            "{{\"name\": {:?}, \"script\": {:?}, \"args\": {:?}, \"interpreter\": \"none\"}}",
            app(number),
            command[0],
            &command[1..]
        )
    };
    let apps: Vec<String> = (0..count).map(one).collect();
    place.write("ecosystem.json", &format!("{{\"apps\": [{}]}}", apps.join(",\n")));
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot => "ping".to_owned(),
        Verb::Apply => "start ecosystem.json".to_owned(),
        Verb::Again => return Vec::new(),
        Verb::List => "list".to_owned(),
        Verb::Restart(number) => format!("restart {}", app(number)),
        Verb::Stop => "stop all".to_owned(),
        Verb::ShutDown => "kill".to_owned(),
    })
}

fn env(place: &Place) -> Vec<(&'static str, String)> {
    vec![("PM2_HOME", place.path("pm2"))]
}
