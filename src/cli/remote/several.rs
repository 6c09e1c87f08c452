//! `--hosts FILE`: the same command on several machines, one after the other.

use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::host::RemoteHost;
use super::line::{Destination, RemoteEnd, RemoteLine};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file;
use crate::cli::host::{LocalHost, Pipes};
use crate::cli::remote_caller::RemoteCaller;
use crate::cli::session::{self, Session};
use crate::os::{Interrupts, StandardStream};
use crate::wire::FORMAT;

/// Machines of one file.
const HOSTS_MAX: usize = 1000;
/// What one machine may answer as JSON.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Reads a file with one host in a line; `#` begins a comment. If its name ends in `.toml`, it has a table `hosts`
/// instead: `web1 = "ssh://user@host"`.
///
/// # Errors
/// It cannot be read, a line is no host, or there is none.
pub(super) fn read(path: &Path) -> Result<Vec<RemoteHost>, CommandError> {
    let path = file::absolute(&session::folder()?, path);
    let text = file::load(&path, &LocalHost::new(&Pipes::default()))?;
    let wrong = |message: String| CommandError::new(Code::File, message);
    let shown = path.display();
    let text = String::from_utf8(text).map_err(|_| wrong(format!("`{shown}` is not UTF-8")))?;
    let (hosts, hint) = if path.extension().is_some_and(|extension| extension == "toml") {
        (parse_toml(&text), "below `[hosts]`, one in a line: `NAME = \"ssh://user@host\"`")
    } else {
        (parse(&text), "one host in a line: `ssh://user@host`")
    };
    hosts.map_err(|why| wrong(format!("{shown}:{why}")).hint(hint))
}

/// Hosts with names, in the order of the file.
fn parse_toml(text: &str) -> Result<Vec<RemoteHost>, String> {
    let at = |span: Range<usize>, why: &str| {
        let before = text.get(..span.start).unwrap_or_default();
        format!("{}: {why}", before.matches('\n').count() + 1)
    };
    let root = DeTable::parse(text).map_err(|wrong| {
        let why = wrong.message().lines().next().unwrap_or("this is not TOML");
        at(wrong.span().unwrap_or(0..0), why)
    })?;
    if let Some((key, _)) = root.get_ref().iter().find(|(key, _)| key.get_ref() != "hosts") {
        return Err(at(key.span(), &format!("unknown key `{}`: only `hosts` is known", key.get_ref())));
    }
    let Some(hosts) = root.get_ref().get("hosts") else { return checked(Vec::new()) };
    let DeValue::Table(entries) = hosts.get_ref() else {
        return Err(at(hosts.span(), "`hosts` takes a table of names and hosts"));
    };
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let (mut known, mut hosts_named): (Vec<RemoteHost>, Vec<RemoteHost>) = Default::default();
    for (key, value) in entries {
        let DeValue::String(word) = value.get_ref() else {
            return Err(at(value.span(), &format!("`{}` takes a text", key.get_ref())));
        };
        let host = RemoteHost::parse(word).map_err(|why| at(value.span(), &why))?;
        if known.contains(&host) {
            return Err(at(value.span(), &format!("`{host}` stands there twice")));
        }
        known.push(host.clone());
        hosts_named.push(host.named(key.get_ref()));
    }
    checked(hosts_named)
}

fn parse(text: &str) -> Result<Vec<RemoteHost>, String> {
    let mut hosts: Vec<RemoteHost> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        let host = RemoteHost::parse(word).map_err(|why| format!("{}: {why}", at + 1))?;
        if hosts.contains(&host) {
            return Err(format!("{}: `{host}` stands there twice", at + 1));
        }
        hosts.push(host);
    }
    checked(hosts)
}

fn checked(hosts: Vec<RemoteHost>) -> Result<Vec<RemoteHost>, String> {
    match hosts.len() {
        0 => Err(" there is no host in it".to_owned()),
        count if count > HOSTS_MAX => Err(format!(" there are {count} hosts in it; {HOSTS_MAX} are the limit")),
        _ => Ok(hosts),
    }
}

/// All of it, as `--json`.
#[derive(Serialize)]
struct HostsDocument<'a> {
    format: u32,
    exit_code: u8,
    hosts: &'a [HostAnswer],
}

/// What one machine answered.
#[derive(Serialize)]
struct HostAnswer {
    host: String,
    /// `None` = it was not asked: one before it had failed.
    exit_code: Option<u8>,
    /// Its answer with `--json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs a command on all of them. One that `changes` something stops at the first machine where it fails: its own wait
/// for the health of what it has started is the gate between two machines.
pub(super) fn run(
    session: &mut Session,
    line: &RemoteLine,
    hosts: &[RemoteHost],
    call: &RemoteCaller,
    changes: bool,
) -> Ending {
    let mut answers: Vec<HostAnswer> = Vec::new();
    let mut worst = 0;
    for host in hosts {
        if worst != 0 && (changes || Interrupts::have_come()) {
            answers.push(HostAnswer { host: host.to_string(), exit_code: None, answer: None, error: None });
            continue;
        }
        let to = Destination { host, call, changes, reads_input: false };
        let answer = if session.screen.is_json { as_data(session, line, &to) } else { as_text(session, line, &to) };
        worst = worst.max(answer.exit_code.unwrap_or(0));
        answers.push(answer);
    }
    if session.screen.is_json {
        session.screen.json(&HostsDocument { format: FORMAT, exit_code: worst, hosts: &answers })?;
    } else if changes || worst != 0 {
        for answer in &answers {
            let how = match answer.exit_code {
                Some(0) => "ok".to_owned(),
                Some(code) => format!("failed (exit code {code})"),
                None => "not tried".to_owned(),
            };
            session.screen.note(&format!("{}: {how}", answer.host));
        }
    }
    if worst == 0 { Ok(Code::Ok) } else { Err(CommandError::told(worst)) }
}

/// Below a heading with its name.
fn as_text(session: &mut Session, line: &RemoteLine, to: &Destination<'_>) -> HostAnswer {
    let heading = session.screen.paint().strong(&format!("{}", to.host));
    session.screen.line(&heading);
    session.screen.flush();
    let ended = line.run(to, &mut |stream, bytes| session.screen.pass_on(stream, bytes));
    if let Err(error) = &ended {
        session.screen.fail(error);
    }
    answer_of(to, ended, None)
}

/// As a part of the one document.
fn as_data(session: &mut Session, line: &RemoteLine, to: &Destination<'_>) -> HostAnswer {
    let mut text = Vec::new();
    let ended = line.run(to, &mut |stream, bytes| match stream {
        StandardStream::Output if text.len() + bytes.len() <= ANSWER_BYTES_MAX => {
            text.extend_from_slice(bytes);
            true
        }
        StandardStream::Output => false,
        StandardStream::Error => session.screen.pass_on(stream, bytes),
    });
    answer_of(to, ended, serde_json::from_slice(&text).ok())
}

fn answer_of(to: &Destination<'_>, ended: Result<RemoteEnd, CommandError>, answer: Option<Value>) -> HostAnswer {
    let (exit_code, error) = match ended {
        Ok(RemoteEnd::Code(code)) => (code, None),
        Ok(RemoteEnd::Unread) => (Code::Error as u8, None),
        Err(error) => (error.exit_code, Some(error.message).filter(|message| !message.is_empty())),
    };
    HostAnswer { host: to.host.to_string(), exit_code: Some(exit_code), answer, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_hosts_has_one_in_a_line() {
        let names = |text: &str| parse(text).map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            names("# all\nweb1\n\n ssh://me@web2:22/h # two\n"),
            Ok(vec!["web1".into(), "ssh://me@web2:22/h".into()])
        );
        let toml = |text: &str| parse_toml(text).map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            toml("# all\n[hosts]\nsecond = 'me@web2'\n'first one' = \"ssh://me@web1:22/h\"\n"),
            Ok(vec!["second".into(), "first one".into()])
        );
        assert_eq!(
            parse_toml("hosts.a = 'me@web1'").unwrap()[0].ssh_args(),
            RemoteHost::parse("me@web1").unwrap().ssh_args()
        );
        for (bad, place) in [
            ("", " there is no host"),
            ("[hosts]\n", " there is no host"),
            ("[hosts]\na = 'x'\n[host]\nb = 'y'", "3: unknown key `host`"),
            ("[hosts]\na = 1", "2: `a` takes a text"),
            ("hosts = ['a']", "1: `hosts` takes a table"),
            ("[hosts]\na = 'x'\nb = 'x'", "3: `x` stands there twice"),
            ("[hosts]\na = '-oProxyCommand=x'", "2: "),
            ("[hosts]\na = x", "2: "),
        ] {
            let why = toml(bad).unwrap_err();
            assert!(why.starts_with(place), "{bad}: {why}");
        }
        for bad in ["", "# none\n", "web1\n-oProxyCommand=x", "web1 web2", "web1\nweb1"] {
            assert!(names(bad).is_err(), "{bad}");
        }
    }
}
