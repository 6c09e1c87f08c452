//! `pm scale`: more or fewer copies.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Scale {
    /// `api`, `shop:api`
    pub app: String,
    /// The number of copies, or how many more (`+1`) or fewer (`-1`)
    #[arg(value_parser = count, allow_hyphen_values = true)]
    pub instances: Copies,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// How many there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Copies {
    Total(u32),
    More(u32),
    Fewer(u32),
}

impl Copies {
    fn total(self, now: u32) -> u32 {
        match self {
            Self::Total(total) => total,
            Self::More(more) => now.saturating_add(more),
            Self::Fewer(fewer) => now.saturating_sub(fewer),
        }
    }
}

fn count(text: &str) -> Result<Copies, String> {
    let number = |text: &str| {
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).ok_or_else(|| "not a number of copies".to_owned())
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(more), _) => number(more).map(Copies::More),
        (_, Some(fewer)) => number(fewer).map(Copies::Fewer),
        _ => number(text).map(Copies::Total),
    }
}

impl CliCommand for Scale {
    const NAME: &'static str = "scale";
    const ABOUT: &'static str = "Change the number of copies of an app";
    const EXAMPLES: &'static str = "Examples:
  pm scale api 4
  pm scale api +1
  pm scale api 0

Copies that stay keep their process. Where the file names a number, the next apply restores it
(`pm apply --keep-overrides` does not).";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(vec![self.app])?;
        let now = match self.instances {
            Copies::Total(_) => 0,
            Copies::More(_) | Copies::Fewer(_) => {
                session.screen.is_json = self.wait.json.json;
                let apps = Session::client()?.describe(&selection)?.apps;
                // Of several the daemon says that they are several.
                apps.first().map_or(0, |app| app.scaled.or(app.spec.instances).unwrap_or(1))
            }
        };
        change::edit(session, Edit::Scale { to: self.instances.total(now) }, selection, &self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_counted_or_added() {
        for (text, now, total) in [("3", 1, 3), ("+2", 1, 3), ("-1", 3, 2), ("-5", 3, 0), ("+1", u32::MAX, u32::MAX)] {
            assert_eq!(count(text).unwrap().total(now), total, "{text}");
        }
        for text in ["", "+", "-", "x", "+-1", "1.5", "99999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
