//! The top level: finds the command that is called. Only that one is built; the others cost nothing.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use super::commands::ENTRIES;
use super::fail::{Code, CommandError, Ending, Rendered};
use super::output::Colours;
use super::remote;
use super::session::Session;
use super::suggest;
use crate::model::ProjectName;
use crate::wire::{self, Scope, Selection};

/// One command.
pub(super) trait CliCommand: Args + 'static {
    /// As typed.
    const NAME: &'static str;
    /// Other spellings.
    const ALIASES: &'static [&'static str] = &[];
    /// One line for the list of commands.
    const ABOUT: &'static str;
    /// Below the options.
    const EXAMPLES: &'static str;

    /// Its arguments when nothing but its name is typed, for commands that are called so all the time: they need no
    /// parser then. Must be what the parser says.
    fn plain() -> Option<Self> {
        None
    }

    /// Does it.
    fn run(self, session: &mut Session) -> Ending;
}

/// A command as the top level knows it.
pub(super) struct Entry {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub about: &'static str,
    pub examples: &'static str,
    build: fn(Command) -> Command,
    call: fn(&ArgMatches) -> Result<Call, clap::Error>,
    plain: fn() -> Option<Call>,
}

/// A command with its arguments, ready to run.
pub(super) type Call = Box<dyn FnOnce(&mut Session) -> Ending>;

impl Entry {
    pub(super) const fn of<V: CliCommand>() -> Self {
        Self {
            name: V::NAME,
            aliases: V::ALIASES,
            about: V::ABOUT,
            examples: V::EXAMPLES,
            build: build::<V>,
            call: call::<V>,
            plain: || V::plain().map(boxed),
        }
    }

    fn is_called(&self, word: &OsStr) -> bool {
        word == self.name || self.aliases.iter().any(|alias| word == *alias)
    }

    fn command(&self) -> Command {
        Command::new(self.name)
            .about(self.about)
            .visible_aliases(self.aliases.iter().copied())
            .after_help(self.examples)
            .defer(self.build)
    }
}

fn build<V: CliCommand>(command: Command) -> Command {
    // A group of options brings along what it says of itself.
    let about = command.get_about().cloned();
    V::augment_args(command).about(about.unwrap_or_default())
}

fn call<V: CliCommand>(matches: &ArgMatches) -> Result<Call, clap::Error> {
    V::from_arg_matches(matches).map(boxed)
}

fn boxed<V: CliCommand>(verb: V) -> Call {
    Box::new(move |session| verb.run(session))
}

const ABOUT: &str =
    "A declarative process manager: one file declares what runs; `pm apply` makes it so and keeps it so";

const EXAMPLES: &str = "Start here:
  pm apply                    run what the ecosystem file of this folder declares
  pm list                     what is running
  pm logs -f                  what it prints
  pm why api                  why it is as it is
  pm start server.js          one script, without a file
  pm help apply               the options of a command

Exit codes: 0 ok, 1 error, 2 changes pending, 3 partly applied, 4 stale plan or
generation, 5 owned by another user, 6 not healthy, 7 wait timed out, 8 refused
by a safety rule, 64 usage error, 65 invalid file, 69 no daemon, 130 interrupted";

/// The whole command line, commands unbuilt.
pub(super) fn top() -> Command {
    top_with(ENTRIES)
}

fn top_with(entries: &[Entry]) -> Command {
    Command::new("pm")
        .about(ABOUT)
        .version(wire::VERSION)
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("COMMAND")
        .args([insist(), colour()])
        .args(remote::options())
        .subcommands(entries.iter().map(Entry::command))
}

const INSIST: &str = "as-root";

fn insist() -> Arg {
    let help = "Let root use a home (PM_HOME) that belongs to another user; its apps run as root";
    Arg::new(INSIST).long(INSIST).global(true).action(ArgAction::SetTrue).help(help)
}

const COLOUR: &str = "color";

fn colour() -> Arg {
    let help = "When to use colours; NO_COLOR and CLICOLOR_FORCE say the same for all commands [default: auto]";
    let values = ["auto", "always", "never"];
    Arg::new(COLOUR)
        .long(COLOUR)
        .global(true)
        .value_name("WHEN")
        .value_parser(values)
        .hide_possible_values(false)
        .help(help)
}

/// The colours that a call wants, whether or not the rest of it is understood.
pub(super) fn wanted_colours(argv: &[OsString]) -> Option<Colours> {
    let words: Vec<&str> = argv.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str()).collect();
    let named = words.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix("--color") {
        Some("") => words.get(at + 1).copied(),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    named.filter_map(Colours::named).next_back()
}

/// Reads the arguments.
///
/// # Errors
/// They are wrong (64), or help was requested (0, printed already).
pub(super) fn parse(argv: &[OsString]) -> Result<Call, CommandError> {
    // A parser that knows only the command at hand is built in a tenth of the time, and says the same about it.
    if let Some(argv) = suggest::help_as_option(argv) {
        return parse(&argv);
    }
    let called = argv.get(1).and_then(|word| ENTRIES.iter().find(|entry| entry.is_called(word)));
    if let (Some(entry), 2) = (called, argv.len())
        && !remote::is_set()
        && let Some(call) = (entry.plain)()
    {
        return Ok(call);
    }
    let known = called.map_or(ENTRIES, std::slice::from_ref);
    let shown = |error: clap::Error| shown(&suggest::corrected(error), wants_json(argv));
    let matches = top_with(known).try_get_matches_from(argv).map_err(shown)?;
    if matches.get_flag(INSIST) {
        super::session::insist();
    }
    let Some(name) = matches.subcommand_name() else {
        return Err(CommandError::new(Code::Usage, "no command given"));
    };
    let entry = ENTRIES.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| CommandError::new(Code::Usage, format!("no command `{name}`")))?;
    if let Some(command) = remote::called(entry.name, argv, &matches)? {
        return Ok(Box::new(move |session| command.run(session)));
    }
    let none = ArgMatches::default();
    (entry.call)(matches.subcommand_matches(name).unwrap_or(&none)).map_err(shown)
}

/// Whether a call that could not be understood was to answer as data.
pub(super) fn wants_json(argv: &[OsString]) -> bool {
    argv.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// Help and version go to standard output and are no failure; clap's own exit code 2 means something else here.
fn shown(error: &clap::Error, is_json: bool) -> CommandError {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Ok,
        _ => Code::Usage,
    };
    if is_json && code == Code::Usage {
        let text = error.render().to_string();
        let mut lines = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(&first);
        return CommandError { details: lines.collect(), ..CommandError::new(code, message) };
    }
    CommandError {
        rendered: Some(Box::new(Rendered { text: error.render(), is_answer: code == Code::Ok })),
        ..CommandError::told(code as u8)
    }
}

/// The reference page `docs/reference/cli.md`, made of the same words as `--help`.
pub fn reference() -> String {
    let mut page =
        String::from("# The command line\n\nGenerated from `pm --help`; `pm COMMAND --help` prints the same.\n");
    let help = |command: &mut Command| command.clone().term_width(100).render_long_help().to_string();
    let mut whole = top();
    whole.build();
    let _ = write!(page, "\n```text\n{}```\n", trimmed(&help(&mut whole)));
    for entry in ENTRIES {
        let Some(command) = whole.find_subcommand_mut(entry.name) else { continue };
        let _ = write!(page, "\n## pm {}\n\n```text\n{}```\n", entry.name, trimmed(&help(command)));
        for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
            let name = inner.get_name().to_owned();
            let _ = write!(page, "\n### pm {} {name}\n\n```text\n{}```\n", entry.name, trimmed(&help(inner)));
        }
    }
    page
}

fn trimmed(text: &str) -> String {
    text.lines().fold(String::new(), |mut page, line| {
        page.push_str(line.trim_end());
        page.push('\n');
        page
    })
}

/// Which projects a command looks at.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct ScopeArgs {
    /// Use this project only
    #[arg(short = 'p', long, value_name = "PROJECT")]
    pub project: Option<ProjectName>,
    /// Use all projects
    #[arg(short = 'A', long = "all-projects", conflicts_with = "project")]
    pub everywhere: bool,
}

impl ScopeArgs {
    /// The selection of these apps, relative to the current folder.
    ///
    /// # Errors
    /// That folder is gone.
    pub(super) fn selection(&self, selectors: Vec<String>) -> Result<Selection, CommandError> {
        if selectors.is_empty() {
            let scope = Scope { project: self.project.clone(), folder: None, everywhere: self.everywhere };
            return Ok(Selection { selectors, scope });
        }
        self.selection_here(selectors)
    }

    /// The same for commands that mean the project of this folder where no app is named.
    ///
    /// # Errors
    /// That folder is gone.
    pub(super) fn selection_here(&self, selectors: Vec<String>) -> Result<Selection, CommandError> {
        // No project can be declared in a folder whose name is not UTF-8.
        let folder = Some(super::session::folder()?).filter(|folder| folder.to_str().is_some());
        let scope = Scope { project: self.project.clone(), folder, everywhere: self.everywhere };
        Ok(Selection { selectors, scope })
    }
}

/// Nothing but data, as JSON.
#[derive(Args, Debug, Clone, Copy, Default)]
pub(super) struct JsonArgs {
    /// Print JSON (one versioned document)
    #[arg(long)]
    pub json: bool,
}

/// Every command's shell completion needs the whole tree.
pub(super) fn complete(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut top(), "pm", &mut script);
    script
}

/// The name of a command that may be called by an alias.
pub(super) fn canonical(word: &str) -> Option<&'static str> {
    ENTRIES.iter().find(|entry| entry.is_called(OsStr::new(word))).map(|entry| entry.name)
}

/// All commands.
pub(super) fn command_names() -> Vec<String> {
    ENTRIES.iter().map(|entry| entry.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What groups of options say of themselves.
    const GROUPS: &[&str] = &[
        "Which projects a command looks at",
        "Nothing but data, as JSON",
        "How long a command waits for what it has caused",
        "Which files, and what is laid over them",
    ];

    fn parse_words(words: &str) -> Result<Call, CommandError> {
        parse(&words.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let mut whole = top();
        whole.build();
        whole.clone().debug_assert();
        for entry in ENTRIES {
            let command = whole.find_subcommand_mut(entry.name).unwrap();
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("  pm {}", entry.name)), "{} has no example: {help}", entry.name);
            assert!(help.starts_with(entry.about), "{} begins with something else: {help}", entry.name);
            for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
                let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(!GROUPS.contains(&about.as_str()), "{} {}: {about}", entry.name, inner.get_name());
            }
        }
    }

    #[test]
    fn aliases_are_unique() {
        let mut names: Vec<&str> =
            ENTRIES.iter().flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied())).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn calls_that_people_type_are_understood() {
        for good in [
            "pm apply",
            "pm apply a.toml b.toml",
            "pm apply -f a.toml --env production --only api,worker --no-prune",
            "pm ls",
            "pm ps -A --json",
            "pm start app.js -n api -i 2 --env A=1 --env B=2 -- --port 80",
            "pm stop api worker --hold",
            "pm rm shop:api",
            "pm scale api 4",
            "pm kill",
            "pm logs api -f --lines 100 --since 10m --stderr",
            "pm exec api -- npm run migrate",
            "pm daemon status --json",
            "pm reload api",
        ] {
            assert!(parse_words(good).is_ok(), "{good}");
        }
    }

    /// Every text of a file tree with one of these endings.
    fn texts(folder: &std::path::Path, all: &mut Vec<(std::path::PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            if path.is_dir() {
                texts(&path, all);
            } else if ["rs", "md", "toml", "yaml"].contains(&ending) {
                all.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn every_command_that_a_text_promises_exists() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut all = vec![(root.join("README.md"), std::fs::read_to_string(root.join("README.md")).unwrap())];
        for folder in ["src", "docs/guide", "docs/reference", "examples"] {
            texts(&root.join(folder), &mut all);
        }
        let mut whole = top();
        whole.build();
        let mut seen = 0;
        for (path, text) in &all {
            for mention in text.split("`pm ").skip(1) {
                let mention = mention.split(['`', '\n']).next().unwrap_or_default();
                let mut words = mention.split_whitespace().filter(|word| *word != "…" && !word.starts_with('-'));
                let Some(word) = words.next().filter(|word| word.chars().all(|one| one.is_ascii_lowercase())) else {
                    continue;
                };
                seen += 1;
                // The second one stands for `--help`.
                let is_internal = word == "anchor" || word == "help";
                let command = whole.find_subcommand(word);
                assert!(is_internal || command.is_some(), "{}: there is no `pm {mention}`", path.display());
                let inner = command.filter(|command| command.has_subcommands() && command.is_subcommand_required_set());
                if let (Some(command), Some(inner)) = (inner, words.next()) {
                    assert!(command.find_subcommand(inner).is_some(), "{}: there is no `pm {mention}`", path.display());
                }
            }
        }
        assert!(seen > 100, "only {seen} commands are mentioned");
    }

    #[test]
    fn a_plain_call_means_what_the_parser_says() {
        use crate::cli::commands::List;
        let parsed = List::augment_args(Command::new("pm")).get_matches_from(["pm"]);
        assert_eq!(
            format!("{:?}", List::plain().unwrap()),
            format!("{:?}", <List as clap::FromArgMatches>::from_arg_matches(&parsed).unwrap())
        );
        let plain: Vec<&str> =
            ENTRIES.iter().filter(|entry| (entry.plain)().is_some()).map(|entry| entry.name).collect();
        assert_eq!(plain, ["list"], "a new one belongs into this test");
    }

    #[test]
    fn a_wrong_call_is_64_and_help_is_0() {
        for (words, code) in [
            ("pm aply", 64),
            ("pm apply --no-such-flag", 64),
            ("pm scale api", 64),
            ("pm scale api many", 64),
            ("pm apply --wait --detach", 64),
            ("pm stop", 64),
            ("pm", 64),
            ("pm --version", 0),
            ("pm apply --help", 0),
        ] {
            let error = parse_words(words).err().unwrap();
            assert_eq!((error.exit_code, error.is_told), (code, true), "{words}");
        }
    }

    #[test]
    fn the_reference_of_the_command_line_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md");
        let fresh = reference();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == fresh, "docs/reference/cli.md is out of date: run this test with UPDATE_REFERENCE=1");
    }
}
