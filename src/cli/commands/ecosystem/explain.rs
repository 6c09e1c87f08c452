//! `pm explain`: what a key means.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::ecosystem::{self, Explanation};
use crate::model::KEYS;
use crate::wire::FORMAT;

#[derive(Args, Debug)]
pub(in crate::cli) struct Explain {
    /// `env`, `apps.kill_timeout`, `log_rotate.size`; omit it to list all keys
    pub key: Option<String>,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

impl CliCommand for Explain {
    const NAME: &'static str = "explain";
    const ABOUT: &'static str = "Explain a key of the ecosystem file: its values, its default, what a change costs";
    const EXAMPLES: &'static str = "Examples:
  pm explain kill_timeout
  pm explain apps.env
  pm explain log_rotate.size --json
  pm explain              all keys";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let Some(key) = self.key else {
            if self.json.json {
                let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
                session.screen.json(&serde_json::json!({ "format": FORMAT, "keys": names }))?;
            } else {
                let mut table = crate::cli::output::TextTable::new(&["key", "change costs", "meaning"]);
                for key in KEYS {
                    table.row().cell(key.name).cell(key.class.as_str()).cell(key.help);
                }
                let text = table.render(session.screen.paint(), session.screen.width());
                session.screen.data(text.as_bytes());
            }
            return Ok(Code::Ok);
        };
        match ecosystem::explain(&key) {
            Ok(explanation) if self.json.json => {
                session.screen.json(&Document { format: FORMAT, explanation: &explanation })?;
            }
            Ok(explanation) => {
                session.screen.wrapped(&text(&explanation));
            }
            Err(near) => {
                let error = CommandError::new(Code::Error, format!("no key `{key}`"));
                return Err(match near.first() {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("`pm explain` lists all keys"),
                });
            }
        }
        Ok(Code::Ok)
    }
}

fn text(explanation: &Explanation) -> String {
    let Explanation { key, aliases, class, kind, default, help, example, is_built, inside, since: _ } = explanation;
    let mut text = format!("{key}\n\n  {help}\n\n  takes         {kind}\n  default       {default}\n");
    if let Some(class) = class {
        let _ = writeln!(text, "  a change      {class}");
    }
    if !aliases.is_empty() {
        let _ = writeln!(text, "  also spelled  {}", aliases.join(", "));
    }
    if !is_built {
        text.push_str("  not implemented yet: a file that uses it is refused\n");
    }
    for (name, help) in inside {
        let _ = writeln!(text, "    .{name}  {help}");
    }
    let _ = writeln!(text, "\n  {example}");
    text
}
