//! `pm boot`: start the daemon, and with it the apps, at boot. `startup` and `unstartup` are PM2's words for it.

mod disable;
mod enable;
mod machine;
mod status;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::boot::InitSystem;
use crate::cli::fail::Ending;
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Boot {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Action {
    /// Write the unit and enable it; running apps are not touched
    Enable(Enable),
    /// Disable the unit and remove it; running apps are not touched
    Disable(Disable),
    /// Show whether the apps start at boot; the exit code is 0 if they do, else 1
    Status(StatusArgs),
}

/// Whose apps, and by which init system.
#[derive(Args, Debug, Clone, Default)]
pub(in crate::cli) struct BootTarget {
    /// The init system; default: the one of this machine. Only systemd is written, the others are for --print
    #[arg(long, value_name = "INIT", value_enum)]
    pub init: Option<InitSystem>,
    /// As root: the apps of this user instead of root's, in a unit of the machine named `pm-NAME.service`
    #[arg(short, long, value_name = "NAME")]
    pub user_name: Option<String>,
    /// Work on the files below this folder (an image of a machine): nothing is started or reloaded
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
}

/// What happens to a unit that was changed by hand.
#[derive(Args, Debug, Clone, Copy, Default)]
pub(in crate::cli) struct ForceArgs {
    /// Replace or remove a unit that was changed by hand; it is kept as `….service.bak`
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug, Clone, Default)]
pub(in crate::cli) struct Enable {
    #[command(flatten)]
    pub target: BootTarget,
    /// The `pm` to start; default: this one
    #[arg(long, value_name = "PATH")]
    pub exe: Option<PathBuf>,
    /// Print the unit and write nothing
    #[arg(long)]
    pub print: bool,
    /// Start the unit at once, unless a daemon is running
    #[arg(long, conflicts_with_all = ["print", "root"])]
    pub now: bool,
    #[command(flatten)]
    pub edited: ForceArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Args, Debug, Clone, Default)]
pub(in crate::cli) struct Disable {
    #[command(flatten)]
    pub target: BootTarget,
    #[command(flatten)]
    pub edited: ForceArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Args, Debug, Clone, Default)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    pub target: BootTarget,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Boot {
    const NAME: &'static str = "boot";
    const ABOUT: &'static str = "Start the daemon and its apps at boot (systemd)";
    const EXAMPLES: &'static str = "Examples:
  pm boot enable              as root: a unit of the machine; else: a unit of yours, and linger
  pm boot enable --print      the unit, without writing it
  sudo pm boot enable -u web  a unit of the machine for the apps of the user web
  pm boot status
  pm boot disable

After a reboot every app that should run starts once, dependencies first. Apps
that were stopped with `pm stop` stay stopped.";

    fn run(self, session: &mut Session) -> Ending {
        match self.action {
            Action::Enable(enable) => enable::run(session, &enable),
            Action::Disable(disable) => disable::run(session, &disable),
            Action::Status(status) => status::run(session, &status),
        }
    }
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Startup {
    /// The init system, as --init
    #[arg(value_name = "INIT", value_enum)]
    pub init_word: Option<InitSystem>,
    #[command(flatten)]
    pub enable: Enable,
}

impl CliCommand for Startup {
    const NAME: &'static str = "startup";
    const ABOUT: &'static str = "(PM2's word) The same as `pm boot enable`";
    const EXAMPLES: &'static str = "Examples:
  pm startup
  pm startup systemd -u web";

    fn run(self, session: &mut Session) -> Ending {
        let Self { init_word, mut enable } = self;
        enable.target.init = enable.target.init.or(init_word);
        enable::run(session, &enable)
    }
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Unstartup {
    /// The init system, as --init
    #[arg(value_name = "INIT", value_enum)]
    pub init_word: Option<InitSystem>,
    #[command(flatten)]
    pub disable: Disable,
}

impl CliCommand for Unstartup {
    const NAME: &'static str = "unstartup";
    const ABOUT: &'static str = "(PM2's word) The same as `pm boot disable`";
    const EXAMPLES: &'static str = "Examples:
  pm unstartup";

    fn run(self, session: &mut Session) -> Ending {
        let Self { init_word, mut disable } = self;
        disable.target.init = disable.target.init.or(init_word);
        disable::run(session, &disable)
    }
}
