//! `pm schema`: the JSON Schema of the ecosystem file.

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::ecosystem;

#[derive(Args, Debug)]
pub(in crate::cli) struct Schema {}

impl CliCommand for Schema {
    const NAME: &'static str = "schema";
    const ABOUT: &'static str = "Print the JSON Schema of the ecosystem file, for editors";
    const EXAMPLES: &'static str = "Examples:
  pm schema > ecosystem.schema.json";

    fn run(self, session: &mut Session) -> Ending {
        let text = serde_json::to_string_pretty(&ecosystem::schema());
        let text = text.map_err(|error| CommandError::system("cannot write the schema", &error))?;
        session.screen.line(&text);
        Ok(Code::Ok)
    }
}
