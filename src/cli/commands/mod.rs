//! One file per command.

mod apply;
mod boot;
mod check;
mod clean;
mod completions;
mod config;
mod cron;
mod daemon;
mod delete;
mod describe;
mod dev;
mod diff;
mod down;
mod ecosystem;
mod env;
mod events;
mod exec;
mod history;
mod hold;
mod list;
mod logs;
mod plan;
pub(super) mod pm2;
mod projects;
mod reload;
mod restart;
mod rollout;
mod run;
mod save;
mod scale;
mod shutdown;
mod source;
mod start;
mod status;
mod stop;
mod unhold;
mod version;
mod why;
mod workers;

use super::args::Entry;
pub(super) use list::List;

/// All commands, in the order of `pm --help`.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::of::<apply::Apply>(),
    Entry::of::<plan::Plan>(),
    Entry::of::<diff::Diff>(),
    Entry::of::<check::Check>(),
    Entry::of::<dev::Dev>(),
    Entry::of::<run::RunFile>(),
    Entry::of::<List>(),
    Entry::of::<status::ProjectStatus>(),
    Entry::of::<describe::Describe>(),
    Entry::of::<why::Why>(),
    Entry::of::<logs::Logs>(),
    Entry::of::<events::Events>(),
    Entry::of::<start::Start>(),
    Entry::of::<stop::Stop>(),
    Entry::of::<rollout::Rollout>(),
    Entry::of::<history::HistoryCommand>(),
    Entry::of::<history::RollbackCommand>(),
    Entry::of::<source::SourceCommandLine>(),
    Entry::of::<hold::Hold>(),
    Entry::of::<unhold::Unhold>(),
    Entry::of::<restart::Restart>(),
    Entry::of::<reload::Reload>(),
    Entry::of::<scale::Scale>(),
    Entry::of::<cron::Cron>(),
    Entry::of::<delete::Delete>(),
    Entry::of::<clean::Clean>(),
    Entry::of::<down::Down>(),
    Entry::of::<shutdown::Shutdown>(),
    Entry::of::<projects::Projects>(),
    Entry::of::<config::Config>(),
    Entry::of::<env::Env>(),
    Entry::of::<exec::Exec>(),
    Entry::of::<workers::SignalCommand>(),
    Entry::of::<workers::Send>(),
    Entry::of::<workers::Attach>(),
    Entry::of::<workers::Metrics>(),
    Entry::of::<ecosystem::Explain>(),
    Entry::of::<ecosystem::Schema>(),
    Entry::of::<ecosystem::Import>(),
    Entry::of::<daemon::Daemon>(),
    Entry::of::<boot::Boot>(),
    Entry::of::<boot::Startup>(),
    Entry::of::<boot::Unstartup>(),
    Entry::of::<save::Save>(),
    Entry::of::<pm2::Pm2>(),
    Entry::of::<completions::Completions>(),
    Entry::of::<version::Version>(),
];
