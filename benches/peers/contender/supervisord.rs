//! supervisord: two programs, one INI file.

use std::fmt::Write as _;

use super::{Contender, Place, Verb, app, words};

pub fn contender() -> Contender {
    Contender { name: "supervisord", program: "supervisord", declare, words: verbs, env: |_| Vec::new() }
}

fn declare(place: &Place, count: usize, command: &[String]) {
    let root = place.root.display();
    let mut text = format!(
        "[unix_http_server]\nfile={root}/s.sock\n[supervisord]\nlogfile={root}/s.log\npidfile={root}/s.pid\nchildlogdir={root}\nminfds=65536\n\
         [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
         [supervisorctl]\nserverurl=unix://{root}/s.sock\n"
    );
    for number in 0..count {
        let _ = writeln!(
            text,
            "[program:{}]\ncommand={}\nstartsecs=0\nautorestart=true\nstdout_logfile_maxbytes=0",
            app(number),
            command.join(" ")
        );
    }
    place.write("s.conf", &text);
}

fn verbs(_: &Place, verb: Verb) -> Vec<String> {
    words(&match verb {
        Verb::Boot => "-c s.conf".to_owned(),
        Verb::Apply | Verb::Again => "!supervisorctl -c s.conf update".to_owned(),
        Verb::List => "!supervisorctl -c s.conf status all".to_owned(),
        Verb::Restart(number) => format!("!supervisorctl -c s.conf restart {}", app(number)),
        Verb::Stop => "!supervisorctl -c s.conf stop all".to_owned(),
        Verb::ShutDown => "!supervisorctl -c s.conf shutdown".to_owned(),
    })
}
