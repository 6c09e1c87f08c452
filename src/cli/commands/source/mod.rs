//! `pm source`: Git repositories that the daemon follows.

mod approve;
mod difference;
mod shown;
mod watch;
mod webhook;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::{self, Session};
use crate::client::Client;
use crate::git::RemoteUrl;
use crate::model::{Millis, SourceCommand, SourceName, SourceSpec, SyncPolicy, shown_url};
use crate::os;
use crate::wire::{Edit, Scope, Selection, SourceRequest, SourceRow, SourcesAnswer};

#[derive(Args, Debug)]
pub(in crate::cli) struct SourceCommandLine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Follow a branch of a repository: its newest commit is deployed
    Add(Add),
    /// Show every source: what runs, how it stands, when it is looked at next
    List {
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Show everything about one source
    Status(NamedSource),
    /// Look now, wait, and end with the exit codes of `pm apply`
    Sync(watch::SyncArgs),
    /// Wait until a commit is deployed, superseded or has failed
    Wait(watch::CommitArgs),
    /// Show what the newest commit would change; nothing is touched
    Diff(difference::DiffArgs),
    /// Let a commit be deployed that waits for it
    Approve(approve::ApproveArgs),
    /// Take calls of its server, which says that something was pushed
    Webhook(webhook::WebhookArgs),
    /// Fetch nothing new; what runs is left alone
    Suspend(NamedSource),
    /// Follow it again
    Resume(NamedSource),
    /// Follow it no longer
    Remove(Remove),
}

#[derive(Args, Debug)]
struct NamedSource {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Args, Debug)]
struct Add {
    /// A name for it; also of the project, where the file names none
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// `https://…`, `ssh://…`, `user@host:path`, or a folder
    #[arg(value_name = "URL")]
    url: String,
    /// The branch
    #[arg(long, default_value = "main")]
    branch: String,
    /// The ecosystem file in the repository; default: the one in its root
    #[arg(long, value_name = "FILE")]
    path: Option<PathBuf>,
    /// Apply this profile to the apps
    #[arg(long = "env", visible_alias = "profile", value_name = "NAME")]
    profile: Option<String>,
    /// Deploy only commits that are signed by an ssh key in this file
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// How often the branch is looked at
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    interval: Millis,
    /// How long the apps of a commit must stay healthy before it counts as good
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    dwell: Millis,
    /// Deploy only in this time: `Mon-Fri 09:00-17:00`, `22:00-04:00`; may be repeated
    #[arg(long = "window", value_name = "TIMES")]
    windows: Vec<String>,
    /// The time zone of the windows; default: that of the machine
    #[arg(long, value_name = "ZONE", value_parser = zone, requires = "windows")]
    timezone: Option<String>,
    /// Each commit waits for `pm source approve`
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Args, Debug)]
struct Remove {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// Its apps go on running, and belong to nobody
    #[arg(long, conflicts_with = "delete_apps")]
    keep_apps: bool,
    /// Its apps are stopped and forgotten first
    #[arg(long)]
    delete_apps: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

fn zone(text: &str) -> Result<String, String> {
    os::zone_named(text).map(|_| text.to_owned()).ok_or_else(|| "this machine has no such time zone".to_owned())
}

fn duration(text: &str) -> Result<Millis, String> {
    Millis::parse(text).map_err(|error| format!("{error}: write `30s`, `500ms`, `2m`"))
}

impl CliCommand for SourceCommandLine {
    const NAME: &'static str = "source";
    const ABOUT: &'static str = "Follow Git repositories: deploy each new commit, go back from a bad one";
    const EXAMPLES: &'static str = "Examples:
  pm source add shop git@example.org:shop.git --env production
  pm source list
  pm source sync shop              look now, and wait
  pm source sync shop --force      try a failed or rewritten commit
  pm source wait shop --commit 1a2b3c4 --timeout 5m
  pm source diff shop              what the newest commit would change
  pm source approve shop           the commit that waits
  pm source webhook shop --listen 127.0.0.1:9099
  pm source suspend shop

A commit is deployed as by `pm apply`. If its apps do not become or stay healthy,
the project is rolled back, and that commit is not tried again. An app is touched
only if its declaration or its files differ (the key `inputs`).";

    fn run(self, session: &mut Session) -> Ending {
        match self.action {
            Action::Add(add) => follow(session, add),
            Action::List { json } => list(session, json),
            Action::Status(named) => status(session, &named),
            Action::Sync(sync) => watch::sync(session, &sync),
            Action::Wait(commit) => watch::wait(session, &commit),
            Action::Diff(diff) => difference::diff(session, &diff),
            Action::Approve(approval) => approve::approve(session, &approval),
            Action::Webhook(webhook) => webhook::webhook(session, &webhook),
            Action::Suspend(named) => {
                command(session, named, SourceCommand::Suspend, "is suspended; what runs is left alone")
            }
            Action::Resume(named) => command(session, named, SourceCommand::Resume, "is followed again"),
            Action::Remove(remove) => forget(session, remove),
        }
    }
}

fn follow(session: &mut Session, add: Add) -> Ending {
    session.screen.is_json = add.json.json;
    let allowed_signers = add.allowed_signers.as_deref().map(signers).transpose()?;
    let policy = SyncPolicy { windows: add.windows, timezone: add.timezone, needs_approval: add.confirm };
    let Add { name, url, branch, path, profile, interval, dwell, .. } = add;
    let url = absolute(&url)?;
    RemoteUrl::parse(&url).map_err(|error| {
        CommandError::new(Code::Usage, format!("`{}` is not the URL of a repository: {error}", shown_url(&url)))
    })?;
    let spec = SourceSpec { url, branch, path, profile, allowed_signers, interval, dwell, policy };
    let command = SourceCommand::Add { spec: Box::new(spec) };
    let answer = Session::client()?.command_source(&SourceRequest { source: name.clone(), command })?;
    if session.screen.is_json {
        session.screen.json(&answer)?;
        return Ok(Code::Ok);
    }
    let url = answer.sources.first().map(|row| row.spec.url.clone()).unwrap_or_default();
    session.screen.note(&format!("source {name} follows {url}; `pm source sync {name}` waits for its first commit"));
    Ok(Code::Ok)
}

/// The file is read by the daemon's user at each commit; it has to be there now.
fn signers(file: &Path) -> Result<PathBuf, CommandError> {
    let file = crate::cli::file::absolute(&session::folder()?, file);
    if os::exists(&file) {
        return Ok(file);
    }
    let message = format!("there is no file `{}`", file.display());
    let hint = "it has one key a line: `NAME namespaces=\"git\" ssh-ed25519 KEY`";
    Err(CommandError::new(Code::Usage, message).hint(hint))
}

/// A folder is named from here; the daemon is elsewhere.
fn absolute(url: &str) -> Result<String, CommandError> {
    let is_remote = url.contains("://") || url.split('/').next().is_some_and(|first| first.contains(':'));
    if is_remote || url.starts_with('/') || url.starts_with('-') || !os::exists(&session::folder()?.join(url)) {
        return Ok(url.to_owned());
    }
    let path = crate::cli::file::absolute(&session::folder()?, Path::new(url));
    path.into_os_string().into_string().map_err(|_| {
        CommandError::new(Code::Usage, "the path of the repository is not UTF-8").hint("rename the folder")
    })
}

fn list(session: &mut Session, json: JsonArgs) -> Ending {
    session.screen.is_json = json.json;
    let answer = Session::client()?.sources()?;
    if json.json {
        session.screen.json(&answer)?;
    } else if answer.sources.is_empty() {
        session.screen.note("no sources; `pm source add NAME URL` follows a repository");
    } else {
        let text = shown::table(&answer, session.screen.paint(), session.screen.width());
        session.screen.data(text.as_bytes());
    }
    Ok(Code::Ok)
}

fn status(session: &mut Session, named: &NamedSource) -> Ending {
    session.screen.is_json = named.json.json;
    let (answer, row) = one(&mut Session::client()?, &named.name)?;
    if named.json.json {
        session.screen.json(&SourcesAnswer { sources: vec![row], ..answer })?;
    } else {
        let text = shown::details(&row, answer.now, session.screen.paint(), session.screen.width());
        session.screen.data(text.as_bytes());
    }
    Ok(Code::Ok)
}

fn command(session: &mut Session, named: NamedSource, command: SourceCommand, done: &str) -> Ending {
    session.screen.is_json = named.json.json;
    let request = SourceRequest { source: named.name, command };
    let answer = Session::client()?.command_source(&request)?;
    if named.json.json {
        session.screen.json(&answer)?;
    } else {
        session.screen.note(&format!("source {} {done}", request.source));
    }
    Ok(Code::Ok)
}

fn forget(session: &mut Session, remove: Remove) -> Ending {
    session.screen.is_json = remove.wait.json.json;
    let (_, row) = one(&mut Session::client()?, &remove.name)?;
    let name = remove.name;
    if row.record.project.is_some() && !remove.keep_apps && !remove.delete_apps {
        let message = format!("the source `{name}` has deployed apps");
        let hint =
            format!("`pm source remove {name} --keep-apps` lets them run, `--delete-apps` stops and forgets them");
        return Err(CommandError::new(Code::Refused, message).hint(hint));
    }
    let request = |command| SourceRequest { source: name.clone(), command };
    let project = row.record.project.filter(|_| remove.delete_apps);
    let known = Session::client()?.projects()?.projects;
    let project = project.filter(|project| known.iter().any(|row| row.project == *project));
    // Nothing new may come in between.
    Session::client()?.command_source(&request(SourceCommand::Suspend))?;
    let mut code = Code::Ok;
    if let Some(project) = project {
        let scope = Scope { project: Some(project), ..Scope::default() };
        let selection = Selection { selectors: vec!["all".to_owned()], scope };
        code = change::edit(session, Edit::Delete, selection, &remove.wait)?;
    }
    let answer = Session::client()?.command_source(&request(SourceCommand::Remove))?;
    if remove.delete_apps && code == Code::Ok {
        let folder = Session::home()?.source(name.as_str());
        os::remove_tree(&folder).map_err(|error| {
            CommandError::system(format!("the source is removed, but not its folder `{}`", folder.display()), &error)
        })?;
    }
    if !remove.wait.json.json {
        session.screen.note(&format!("source {name} is followed no longer"));
    } else if !remove.delete_apps {
        session.screen.json(&answer)?;
    }
    Ok(code)
}

/// The row of a source.
fn one(client: &mut Client, name: &SourceName) -> Result<(SourcesAnswer, SourceRow), CommandError> {
    let answer = client.sources()?;
    let row = answer.sources.iter().find(|row| row.source == *name).cloned();
    let row = row.ok_or_else(|| {
        let known: Vec<&str> = answer.sources.iter().map(|row| row.source.as_str()).collect();
        let hint = match known.as_slice() {
            [] => "there are none: `pm source add NAME URL`".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        CommandError::new(Code::Usage, format!("no source `{name}`")).hint(hint)
    })?;
    Ok((answer, row))
}
