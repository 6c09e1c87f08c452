//! `pm attach`: the output of an app, and a line for its standard input at a time.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::log_stream::follow_logs;
use crate::cli::output::event;
use crate::cli::output::lines::LineFormat;
use crate::cli::session::Session;
use crate::model::StdinMode;
use crate::os;
use crate::wire::{InputRequest, LogMessage, LogsQuery, NotWritten, Selection, WhyNotWritten};

/// Lines from before that are shown.
const LINES: usize = 15;
const DETACHED: &str = "\ndetached; the app continues\n";

#[derive(Args, Debug)]
pub(in crate::cli) struct Attach {
    /// `api`, `api/1`, `shop:api`: one app, or one copy of it
    pub app: String,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Attach {
    const NAME: &'static str = "attach";
    const ABOUT: &'static str = "Follow the output of an app and type lines for its standard input";
    const EXAMPLES: &'static str = "Examples:
  pm attach game             every line that you type goes to the app
  pm attach game/1           one copy
  pm send game --stdin stop  one line, without attaching

The app needs `stdin = \"pipe\"`. Ctrl-C, or Ctrl-D on an empty line, detaches; the app
continues. Several terminals may be attached: a line is never mixed with another.
If the app is restarted, the next line goes to the new process. A line that cannot
be delivered is reported: the app does not run, or it does not read and its pipe
(64 KiB) is full. With several copies, each gets the line.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(vec![self.app])?;
        check(&selection)?;
        // Refused only by a kernel that refuses everything; then Ctrl-C just ends us.
        let _ = os::say_on_interrupt(DETACHED);
        let typed = selection.clone();
        os::read_typed_lines(
            move |line| pass_on(&typed, line),
            || {
                say(DETACHED.trim());
                os::exit(0)
            },
        )
        .map_err(|error| CommandError::system("cannot read the standard input", &error))?;
        let query = LogsQuery { selection, lines: Some(LINES), follow: true, ..LogsQuery::default() };
        let is_json = self.json.json;
        follow_logs(session, &query, LineFormat::new(false, false), |session, _, message| match message {
            message if is_json => session.screen.compact(&message).map(|()| None),
            LogMessage::Event { event } => {
                session.screen.flush();
                let text = session.screen.paint_notes().faint(&event::sentence(&event));
                session.screen.note(&text);
                Ok(None)
            }
            message => Ok(Some(message)),
        })
    }
}

/// An app whose standard input is at its end cannot be attached to.
fn check(selection: &Selection) -> Result<(), CommandError> {
    let described = Session::client()?.describe(selection)?;
    match described.apps.iter().find(|app| app.spec.run.stdin != StdinMode::Pipe) {
        None => Ok(()),
        Some(app) => {
            let message = format!("`{}` has no standard input: it is at its end at once", app.spec.name);
            let hint = "`stdin = \"pipe\"` in the ecosystem file gives it one; `pm logs -f` only follows the output";
            Err(CommandError::new(Code::Error, message).hint(hint))
        }
    }
}

/// Passes a line on, or says why not.
fn pass_on(selection: &Selection, line: &[u8]) {
    let request = InputRequest { selection: selection.clone(), line: String::from_utf8_lossy(line).into_owned() };
    let answer: Result<_, CommandError> = Session::client().and_then(|mut client| Ok(client.hand_over(&request)?));
    match answer {
        Ok(answer) => answer.failed.iter().for_each(|failed| say(&not_written(failed))),
        Err(error) => say(&format!("not sent: {}", error.message)),
    }
}

/// Beside the lines of the app: on standard error, whole.
fn say(text: &str) {
    os::write_stderr(&format!("{text}\n"));
}

/// Why a copy has not got a line.
pub(super) fn not_written(failed: &NotWritten) -> String {
    let why = match failed.why {
        WhyNotWritten::NotRunning => "it does not run",
        WhyNotWritten::NoPipe => "its standard input is no pipe (`stdin = \"pipe\"`), or it has closed it",
        WhyNotWritten::Full => "it does not read its standard input, and the pipe is full",
        WhyNotWritten::NotAllowed => "the daemon may not look into it",
    };
    format!("not sent to {}: {why}", failed.instance)
}
