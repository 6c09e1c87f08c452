//! `pm source webhook`: where the server of a repository says that something was pushed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::one;
use super::shown::webhook_url;
use crate::cli::args::JsonArgs;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::{self, Session};
use crate::model::{Millis, SourceCommand, SourceName, WebhookSecret};
use crate::os;
use crate::wire::{FORMAT, SourceRequest, SourceRow, WebhookRow};

/// More than any secret has.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;
/// How long it may take until the daemon listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(3);
/// Between two questions whether it does.
const PAUSE: Millis = Millis(20);

#[derive(Args, Debug)]
pub(super) struct WebhookArgs {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// Listen there: `127.0.0.1:9099` behind a proxy, `0.0.0.0:9099` for everybody
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// The secret is in this file; default: the one there is, or a new one that is printed
    #[arg(long, value_name = "FILE", requires = "listen")]
    secret_file: Option<PathBuf>,
    /// Make a new secret and print it
    #[arg(long, requires = "listen", conflicts_with = "secret_file")]
    new_secret: bool,
    /// Listen no longer, and forget the secret
    #[arg(long, conflicts_with = "listen")]
    off: bool,
    #[command(flatten)]
    json: JsonArgs,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port: `127.0.0.1:9099`, `[::1]:9099`".to_owned())
}

/// The source with its webhook, as `--json`.
#[derive(Serialize)]
struct WebhookDocument<'a> {
    format: u32,
    /// Only if it was made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    source: &'a SourceRow,
}

pub(super) fn webhook(session: &mut Session, args: &WebhookArgs) -> Ending {
    session.screen.is_json = args.json.json;
    let (_, row) = one(&mut Session::client()?, &args.name)?;
    let Some(listen) = args.listen else {
        if args.off {
            give(&args.name, SourceCommand::NoWebhook)?;
            let (_, row) = one(&mut Session::client()?, &args.name)?;
            return said(session, &row, None, "has no webhook any more");
        }
        return said(session, &row, None, "has no webhook: `--listen ADDRESS` makes one");
    };
    let (secret, is_new) = match &args.secret_file {
        Some(file) => (Some(secret_in(file)?), false),
        None if row.webhook.is_some() && !args.new_secret => (None, false),
        None => (Some(new_secret()?), true),
    };
    let new = secret.as_ref().filter(|_| is_new).map(|secret| secret.as_secret_str().to_owned());
    give(&args.name, SourceCommand::Webhook { listen, secret })?;
    let row = listening(&args.name)?;
    if let Some(trouble) = row.webhook.as_ref().and_then(|webhook| webhook.status.trouble.clone()) {
        // It is kept, and so is what signs it: whoever frees the address needs it.
        said(session, &row, new.as_deref(), "")?;
        let hint = "it is tried again and again; `pm source webhook NAME --listen ADDRESS` names another address";
        return Err(CommandError::new(Code::Error, trouble).hint(hint));
    }
    said(session, &row, new.as_deref(), "")
}

fn give(name: &SourceName, command: SourceCommand) -> Result<(), CommandError> {
    Session::client()?.command_source(&SourceRequest { source: name.clone(), command })?;
    Ok(())
}

/// Waits until the daemon listens, or says why it cannot.
fn listening(name: &SourceName) -> Result<SourceRow, CommandError> {
    let began = Instant::now();
    loop {
        let (_, row) = one(&mut Session::client()?, name)?;
        let is_known = |webhook: &WebhookRow| webhook.status.listens_at.is_some() || webhook.status.trouble.is_some();
        if row.webhook.as_ref().is_none_or(is_known) || began.elapsed() > LISTENS_WITHIN {
            return Ok(row);
        }
        os::pause(PAUSE);
    }
}

fn secret_in(file: &Path) -> Result<WebhookSecret, CommandError> {
    let file = crate::cli::file::absolute(&session::folder()?, file);
    let bytes = os::read_limited(&file, SECRET_FILE_BYTES_MAX)
        .map_err(|error| CommandError::system(format!("cannot read the secret in `{}`", file.display()), &error))?;
    let secret = String::from_utf8(bytes).ok().and_then(|text| WebhookSecret::new(&text).ok());
    secret.ok_or_else(|| {
        let message = format!("`{}` holds no secret of a webhook", file.display());
        let (least, most) = (WebhookSecret::BYTES_MIN, WebhookSecret::BYTES_MAX);
        CommandError::new(Code::Usage, message).hint(format!("one line of {least} to {most} bytes of text"))
    })
}

/// 256 bits.
fn new_secret() -> Result<WebhookSecret, CommandError> {
    let random = || os::random().map_err(|error| CommandError::system("cannot make a secret", &error));
    let text = format!("{:032x}{:032x}", random()?, random()?);
    WebhookSecret::new(&text).map_err(|error| CommandError::new(Code::Error, error.to_string()))
}

/// The webhook as it is; a new secret goes to standard output, alone, so that it can be put into a file.
fn said(session: &mut Session, row: &SourceRow, secret: Option<&str>, none: &str) -> Ending {
    if session.screen.is_json {
        session.screen.json(&WebhookDocument { format: FORMAT, secret, source: row })?;
        return Ok(Code::Ok);
    }
    let Some(webhook) = &row.webhook else {
        session.screen.note(&format!("source {} {none}", row.source));
        return Ok(Code::Ok);
    };
    let address = webhook.status.listens_at.unwrap_or(webhook.listen);
    let url = webhook_url(address, &webhook.path);
    session.screen.note(&format!("source {} is looked at on every push that is sent to {url}", row.source));
    if let Some(secret) = secret {
        session.screen.note("the secret, which is shown only now:");
        session.screen.data(format!("{secret}\n").as_bytes());
    }
    Ok(Code::Ok)
}
