//! PM2's command line, done with `pm`'s own means: the same questions and edits as every other command.
//!
//! In:    the words behind `pm2`           Out:  calls to the daemon; PM2's tables, JSON, streams and exit codes
//! Never: a second way to start or stop anything; an option that is dropped without a word
//! Walk:  `commands/pm2` → here → [`crate::pm2`] (grammar, selectors) → `scene` → `change`, `start`, `show`

mod act;
mod change;
mod errand;
mod follow;
mod inspect;
mod jlist;
mod kept;
mod logs;
mod runtime;
mod say;
mod scene;
mod settings;
mod show;
mod start;
mod table;
mod version;

use super::fail::{Code, CommandError, Ending};
use super::output::harmless_lines;
use super::session::Session;
use crate::os;
use crate::pm2::{DoorCall, DoorVerb, Misuse, read_words};
use crate::wire;
use say::{say, say_done};

/// The first word of a call that is one of `pm`'s own commands.
pub(super) const NATIVE: &str = "\u{0}native";

/// Options of PM2 that do nothing here, whatever the command.
const NOT_THERE: [&str; 8] = ["attach", "ext", "filter-env", "parallel", "pid", "sort", "user", "write"];

/// One of `pm`'s own commands.
type Native = fn(&mut Session, &[&str]) -> Ending;

const HELP: &str = "PM2's command line, understood by pm.

  start SCRIPT|FILE|APP [-n NAME] [-i N] [options] [-- ARGS]
  stop|restart|reload|delete APP|ID|NAMESPACE|/REGEX/|FILE|all
  startOrReload|startOrRestart FILE [--env NAME] [--only A,B]
  scale APP N|+N                save, resurrect, kill, ping, update
  list|ls|ps, jlist, prettylist, describe APP, env ID, pid APP, id APP, monit, report
  logs [APP] [--lines N] [--err] [--out] [--raw] [--nostream], flush [APP]
  sendSignal SIGNAL APP, reset APP
  set KEY VALUE, get [KEY], unset KEY|all, multiset PAIRS, conf
  startup, unstartup, init

`pm help` has the commands of pm itself.
";

/// Does what the words say; 0 or 1, as PM2.
pub(super) fn run(session: &mut Session, words: &[String], native: Native) -> Ending {
    if let Some((first, rest)) = words.split_first()
        && first == NATIVE
    {
        return runtime::foreground(session, rest, native);
    }
    let answer = read_words(words).map_err(CommandError::from).and_then(|call| {
        session.screen.is_quiet = call.options.has("silent") || os::variable("PM2_SILENT").is_some();
        perform(session, &call, native)
    });
    match answer {
        Ok(Code::Ok) => Ok(Code::Ok),
        Ok(_) => Err(CommandError::told(1)),
        Err(error) => {
            told(session, &error);
            Err(CommandError::told(1))
        }
    }
}

fn perform(session: &mut Session, call: &DoorCall, native: Native) -> Ending {
    if call.options.has("no-daemon") {
        let message = "`--no-daemon` is not there: `pm run FILE` runs the apps of a file in the foreground";
        return Err(CommandError::new(Code::Usage, message));
    }
    for name in call.options.names().filter(|name| NOT_THERE.contains(name)) {
        session.screen.note(&format!("[PM2][WARN] `--{name}` is not there and has no effect"));
    }
    match call.verb {
        DoorVerb::Start => start::start(session, call),
        DoorVerb::Stop | DoorVerb::Restart | DoorVerb::Reload | DoorVerb::Delete => change::change(session, call),
        DoorVerb::Scale => change::scale(session, call),
        DoorVerb::List if call.options.has("watch") => native(session, &["list", "--watch"]),
        DoorVerb::List => show::list(session, call),
        DoorVerb::JsonList => show::json_list(session),
        DoorVerb::PrettyList => show::pretty_list(session),
        DoorVerb::Describe => show::describe(session, call),
        DoorVerb::Env => show::environment(session, call),
        DoorVerb::Pid => show::pids(session, call),
        DoorVerb::Id => show::numbers(session, call),
        DoorVerb::Logs => logs::logs(session, call),
        DoorVerb::Save => {
            say(session, "nothing to save: every change is saved at once; `pm boot enable` starts the apps at boot");
            Ok(Code::Ok)
        }
        DoorVerb::Flush => errand::flush(session, call),
        DoorVerb::Reset => errand::reset(session, call),
        DoorVerb::Signal => errand::signal(session, call),
        DoorVerb::Settings => settings::settings(session, call),
        DoorVerb::Report => {
            let code = native(session, &["daemon", "status"])?;
            show::list(session, call).map(|listed| if code == Code::Ok { listed } else { code })
        }
        DoorVerb::Monitor if session.screen.is_out_terminal => native(session, &["list", "--watch"]),
        DoorVerb::Monitor => {
            let message =
                format!("`{}` needs a terminal: `pm list` shows what runs, `pm logs` what is printed", call.word);
            Err(CommandError::new(Code::Usage, message))
        }
        DoorVerb::Resurrect => change::resurrect(session, call),
        DoorVerb::Kill => {
            let code = native(session, &["shutdown", "--quiet"])?;
            say_done(session, code, "all apps and the daemon are stopped; `resurrect` starts the apps again");
            Ok(code)
        }
        DoorVerb::Ping => {
            Session::client()?.daemon()?;
            if !session.screen.is_quiet {
                session.screen.line("{ msg: 'pong' }");
            }
            Ok(Code::Ok)
        }
        DoorVerb::Update => {
            let code = native(session, &["daemon", "restart"])?;
            say_done(session, code, "the daemon is new, the apps went on running");
            Ok(code)
        }
        DoorVerb::Startup => native(session, &["startup"]),
        DoorVerb::Unstartup => native(session, &["unstartup"]),
        DoorVerb::Init => start::init(session),
        DoorVerb::Help => {
            session.screen.data(HELP.as_bytes());
            Ok(if call.word.is_empty() && !call.options.has("help") { Code::Error } else { Code::Ok })
        }
        DoorVerb::Version => {
            session.screen.line(wire::VERSION);
            Ok(Code::Ok)
        }
        DoorVerb::Missing(instead) => {
            Err(CommandError::new(Code::Usage, format!("`{}` is not there: {instead}", call.word)))
        }
    }
}

/// What went wrong, where PM2 writes it: standard error.
fn told(session: &mut Session, error: &CommandError) {
    if error.is_told {
        return;
    }
    let details = error.causes.iter().chain(&error.details);
    let lines = std::iter::once(&error.message).chain(details).chain(&error.hint);
    for line in lines {
        let text = format!("[PM2][ERROR] {}", harmless_lines(line));
        session.screen.note(&text);
    }
}

impl From<Misuse> for CommandError {
    fn from(Misuse(message): Misuse) -> Self {
        Self::new(Code::Usage, message).hint("`pm pm2 help` lists the commands")
    }
}
