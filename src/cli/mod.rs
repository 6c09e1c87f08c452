//! The command line: one file per command, and the only writer to the terminal.
//!
//! In:    arguments, the calling shell      Out:  calls to the daemon; text, JSON, an exit code
//! Never: a decision about apps (the daemon plans); an async runtime; printing outside `output`
//! Walk:  a user → here → [`crate::ecosystem`] → [`crate::client`] → `output` → the user

mod args;
mod boot;
mod change;
mod commands;
mod complete;
mod dev;
mod door;
mod fail;
mod file;
mod foreign;
mod git;
mod host;
mod live;
mod log_stream;
mod output;
mod pm2;
mod remote;
mod remote_caller;
mod run;
mod saved_plan;
mod session;
mod source;
mod sudo;
mod suggest;

use std::ffi::OsString;

pub use args::reference;

/// Runs one command; its exit code.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> u8 {
    let mut argv: Vec<OsString> = argv.into_iter().collect();
    if remote::is_served(&argv) {
        match remote::serve() {
            remote::Served::Done(code) => return code,
            remote::Served::Run(words) => argv = words,
        }
    }
    let mut session = session::Session::new();
    if let Some(colours) = args::wanted_colours(&argv) {
        session.screen.use_colours(colours);
    }
    if argv.get(1).is_some_and(|word| word == source::WORKER) {
        let ending = source::work(&mut session, argv.get(2..).unwrap_or_default());
        return session.end(ending);
    }
    if let Some(line) = complete::asked(&argv) {
        complete::answer(&mut session, &line);
        return session.end(Ok(fail::Code::Ok));
    }
    if let Some(words) = commands::pm2::asked(&argv) {
        let ending = commands::pm2::answer(&mut session, &words);
        return session.end(ending);
    }
    let ending = match args::parse(&argv) {
        Ok(call) => call(&mut session),
        Err(error) => {
            session.screen.is_json = args::wants_json(&argv);
            Err(error)
        }
    };
    session.end(ending)
}
