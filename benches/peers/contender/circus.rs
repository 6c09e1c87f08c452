//! circus: two programs, one INI file, a section per app.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "circus", program: "circusd", declare, words: verbs, env: |_| Vec::new() }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let root = place.root.display();
    let mut text =
        format!("[circus]\nendpoint = ipc://{root}/ctl\npubsub_endpoint = ipc://{root}/pub\ncheck_delay = 1\n");
    for number in 0..count {
        let name = app(number);
        let _ = writeln!(
            text,
            "[watcher:{name}]\ncmd = {}\nargs = {}\ncopy_env = True\nstdout_stream.class = FileStream\nstdout_stream.filename = {root}/{name}.log",
            command[0],
            command[1..].join(" ")
        );
    }
    place.write("c.ini", &text);
}

fn verbs(place: &Place, verb: Verb) -> Vec<String> {
    let ctl = format!("!circusctl --endpoint ipc://{}/ctl", place.root.display());
    words(&match verb {
        Verb::Boot => format!("--daemon --pidfile {0}/c.pid --log-output {0}/c.log c.ini", place.root.display()),
        Verb::Apply | Verb::Again => format!("{ctl} reloadconfig --waiting"),
        Verb::List => format!("{ctl} status"),
        Verb::Restart(number) => format!("{ctl} restart {} --waiting", app(number)),
        Verb::Stop => format!("{ctl} stop --waiting"),
        Verb::ShutDown => format!("{ctl} quit --waiting"),
    })
}
