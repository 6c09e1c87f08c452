//! `pm --host`: a command that runs on another machine, through the user's own ssh.
//!
//! The whole command runs there (docs/decisions/0028): what it needs to know of a machine (users, paths, programs,
//! variables) is known there. From here come the ecosystem files and what the text is made for, and Ctrl-C; back come
//! both outputs and the exit code.

mod failure;
mod frames;
mod host;
mod line;
mod request;
mod serving;
mod several;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches};

use super::fail::{Code, CommandError, Ending};
use super::remote_caller::{RemoteCaller, remote_caller};
use super::session::Session;
use crate::os;

pub(super) use serving::{Served, is_served, serve};

use host::RemoteHost;
use line::{Destination, RemoteLine};
use request::{RunsOn, where_runs};

const HOST: &str = "host";
const HOSTS: &str = "hosts";
const VARIABLE: &str = "PM_HOST";

/// The options that every command has.
pub(super) fn options() -> [Arg; 2] {
    let host = Arg::new(HOST)
        .long(HOST)
        .global(true)
        .value_name("ssh://USER@HOST")
        .conflicts_with(HOSTS)
        .help("Run the command on another machine, through ssh; PM_HOST says the same for all commands");
    let hosts = Arg::new(HOSTS)
        .long(HOSTS)
        .global(true)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Run it on every machine in FILE (one a line), one after the other, up to the first failure");
    [host, hosts]
}

/// Whether the environment sends every command to another machine.
pub(super) fn is_set() -> bool {
    variable().is_some()
}

fn variable() -> Option<String> {
    // A command that runs here for somebody else is not sent on.
    os::variable(VARIABLE).filter(|host| !host.is_empty() && remote_caller().is_none())
}

/// A command that runs elsewhere.
pub(super) struct RemoteCommand {
    name: &'static str,
    hosts: Hosts,
    call: RemoteCaller,
    /// The command reads what is typed or piped into this one.
    reads_input: bool,
    is_json: bool,
}

enum Hosts {
    One(RemoteHost),
    Several(Vec<RemoteHost>),
}

/// The command on another machine that this call wants; `None` = it runs here.
///
/// # Errors
/// A host is none, or the command cannot run on another machine.
pub(super) fn called(
    name: &'static str,
    line: &[OsString],
    matches: &ArgMatches,
) -> Result<Option<RemoteCommand>, CommandError> {
    let usage = |message: String| CommandError::new(Code::Usage, message);
    let hosts = match (matches.get_one::<PathBuf>(HOSTS), matches.get_one::<String>(HOST)) {
        (Some(file), _) => Hosts::Several(several::read(file)?),
        // `--host ''` is this machine.
        (None, Some(host)) if host.is_empty() => return Ok(None),
        (None, Some(host)) => Hosts::One(RemoteHost::parse(host).map_err(|why| usage(format!("--host: {why}")))?),
        (None, None) => match variable() {
            Some(host) => Hosts::One(RemoteHost::parse(&host).map_err(|why| usage(format!("{VARIABLE}: {why}")))?),
            None => return Ok(None),
        },
    };
    let Some((_, sub)) = matches.subcommand() else { return Ok(None) };
    match where_runs(name) {
        RunsOn::Here => return Ok(None),
        RunsOn::Terminal => {
            let message = format!("`pm {name}` runs apps in this terminal, not on another machine");
            return Err(usage(message).hint("log in there: `ssh -t HOST pm …`; `--host ''` runs it here"));
        }
        RunsOn::There => {}
    }
    let is_json = line.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let call = request::call(name, line, sub)?;
    if matches!(hosts, Hosts::Several(_)) && request::goes_on(name, sub) {
        return Err(usage("a command that follows changes cannot run on several machines".to_owned())
            .hint("use `--host` for one of them"));
    }
    let reads_input = request::reads_input(name, sub);
    Ok(Some(RemoteCommand { name, hosts, call, reads_input, is_json }))
}

impl RemoteCommand {
    /// Runs it to its end.
    pub(super) fn run(mut self, session: &mut Session) -> Ending {
        session.screen.is_json = self.is_json;
        self.call.terminal = session.screen.described();
        let line = RemoteLine::listen()?;
        let changes = !request::ONLY_SHOWS.contains(&self.name);
        match self.hosts {
            Hosts::One(host) => {
                let destination = Destination { host: &host, call: &self.call, changes, reads_input: self.reads_input };
                line::ending(line.run(&destination, &mut |stream, bytes| session.screen.pass_on(stream, bytes))?)
            }
            Hosts::Several(hosts) => several::run(session, &line, &hosts, &self.call, changes),
        }
    }
}
