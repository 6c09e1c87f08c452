//! What is sent to the other machine: the command line, and the ecosystem files that it reads.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;

use crate::cli::fail::{Code, CommandError};
use crate::cli::file::{self, FileArgs};
use crate::cli::git;
use crate::cli::host::{LocalHost, Pipes};
use crate::cli::pm2;
use crate::cli::remote_caller::{CallerTerminal, RemoteCaller, SentFile};
use crate::cli::saved_plan;
use crate::cli::session;

/// Where a command runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RunsOn {
    /// It is about nothing on any machine, or about files.
    Here,
    /// It runs apps in this terminal.
    Terminal,
    There,
}

/// Commands that ask no daemon.
const HERE: &[&str] = &["completions", "explain", "import", "schema"];
const IN_A_TERMINAL: &[&str] = &["dev", "run"];
/// Commands that read ecosystem files.
const OF_FILES: &[&str] = &["apply", "check", "config", "diff", "plan"];
/// Commands that change nothing: with several machines, one that fails does not keep the others from being asked.
pub(super) const ONLY_SHOWS: &[&str] = &[
    "check", "config", "describe", "diff", "env", "events", "history", "list", "logs", "metrics", "plan", "projects",
    "version", "why",
];

pub(super) fn where_runs(name: &str) -> RunsOn {
    if HERE.contains(&name) {
        RunsOn::Here
    } else if IN_A_TERMINAL.contains(&name) {
        RunsOn::Terminal
    } else {
        RunsOn::There
    }
}

/// Whether standard input of this command is that of the other one. Other commands leave it to whoever reads it next.
pub(super) fn reads_input(name: &str, matches: &ArgMatches) -> bool {
    name == "exec" || (name == "apply" && matches.get_flag("ask"))
}

/// Whether the command runs until it is interrupted.
pub(super) fn goes_on(name: &str, matches: &ArgMatches) -> bool {
    (["events", "logs"].contains(&name) && matches.get_flag("follow")) || (name == "list" && matches.get_flag("watch"))
}

/// The call of this command line.
///
/// # Errors
/// A file cannot be read or sent, or the command line cannot.
pub(super) fn call(name: &str, line: &[OsString], matches: &ArgMatches) -> Result<RemoteCaller, CommandError> {
    let usage = |message: &str| CommandError::new(Code::Usage, message);
    let args = without_hosts(line)
        .into_iter()
        .map(|word| word.into_string().map_err(|_| usage("a word of the command line is not UTF-8")))
        .collect::<Result<Vec<_>, _>>()?;
    if name == "plan" && matches.contains_id("out") {
        return Err(usage("a plan for another machine cannot be saved").hint("omit `--out`"));
    }
    let (files, is_found) = if OF_FILES.contains(&name) { files(matches)? } else { (Vec::new(), false) };
    let first = files.iter().find(|file| file.is_sent).and_then(|file| file.path.parent());
    Ok(RemoteCaller {
        args,
        host: String::new(),
        folder: session::folder()?,
        home: None,
        commit: first.and_then(git::commit_of),
        worktree: first.and_then(git::worktree_of),
        files,
        is_found,
        terminal: CallerTerminal::default(),
    })
}

/// The files that the command reads, with their text; those after a colon are the other machine's.
fn files(matches: &ArgMatches) -> Result<(Vec<SentFile>, bool), CommandError> {
    let named = |id: &str| matches.get_many::<PathBuf>(id).into_iter().flatten().cloned().collect::<Vec<_>>();
    let args = FileArgs { files: named("files"), more_files: named("more_files"), ..FileArgs::default() };
    let all = args.files.iter().chain(&args.more_files);
    let theirs: Vec<PathBuf> = all.filter_map(|path| Some(path.to_str()?.strip_prefix(':')?.into())).collect();
    let count = args.files.len() + args.more_files.len();
    if theirs.is_empty() {
        let (paths, is_found) = file::paths(&args)?;
        return Ok((paths.into_iter().map(read).collect::<Result<_, _>>()?, is_found));
    }
    if theirs.len() < count || theirs.iter().any(|path| path.is_relative()) {
        let error =
            CommandError::new(Code::Usage, "files of the other machine are absolute, and not mixed with others");
        return Err(error.hint("`:/srv/shop/ecosystem.toml` is that file on the other machine"));
    }
    let file = |path: PathBuf| SentFile { path, is_sent: false, text: Vec::new() };
    Ok((theirs.into_iter().map(file).collect(), false))
}

fn read(path: PathBuf) -> Result<SentFile, CommandError> {
    let shown = path.display();
    let refused = |what: &str| {
        let hint = format!("copy it there, and name that one: `:{shown}`");
        Err(CommandError::new(Code::Usage, format!("`{shown}` is {what}, which is read where it lies")).hint(hint))
    };
    if pm2::is_of_pm2(&path) {
        return refused("a file of PM2");
    }
    if saved_plan::load(&path)?.is_some() {
        return refused("a saved plan");
    }
    let text = file::load(&path, &LocalHost::new(&Pipes::default()))?;
    Ok(SentFile { path, is_sent: true, text })
}

/// The words of a call but the program's name and the options that say where.
fn without_hosts(line: &[OsString]) -> Vec<OsString> {
    let mut words = line.iter().skip(1);
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            kept.push(word.clone());
            kept.extend(words.cloned());
            break;
        }
        match text.strip_prefix("--host").map(|rest| rest.strip_prefix('s').unwrap_or(rest)) {
            Some("") => drop(words.next()),
            Some(rest) if rest.starts_with('=') => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    #[test]
    fn the_words_that_say_where_stay_here() {
        for (line, expected) in [
            ("pm --host box list", "list"),
            ("pm list --host=box -A", "list -A"),
            ("pm apply --hosts web.txt a.toml", "apply a.toml"),
            ("pm --hosts=web.txt reload api", "reload api"),
            ("pm exec api --host box -- curl --host x", "exec api -- curl --host x"),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(without_hosts(&words).join(" ".as_ref()).to_str(), Some(expected), "{line}");
        }
    }

    #[test]
    fn every_command_that_reads_files_sends_them_or_stays_here() {
        let mut top = args::top();
        top.build();
        for command in top.get_subcommands() {
            let name = command.get_name();
            let reads = command.get_arguments().any(|arg| arg.get_id() == "more_files");
            assert_eq!(reads && where_runs(name) == RunsOn::There, OF_FILES.contains(&name), "{name}");
        }
        for name in HERE.iter().chain(IN_A_TERMINAL).chain(OF_FILES).chain(ONLY_SHOWS) {
            assert_eq!(args::canonical(name), Some(*name));
        }
    }
}
