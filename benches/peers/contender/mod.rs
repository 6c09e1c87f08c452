//! Who is measured: each contender says how it is told what everybody is told.

mod circus;
mod decompose;
mod oxmgr;
mod pitchfork;
mod pm;
mod pm2;
mod shep;
mod supervisord;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::arena::Arena;
use super::measure::milliseconds_of;

/// What everybody can be asked to do.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    /// Be there and answer.
    Boot,
    /// Make what is declared run.
    Apply,
    /// The same again, nothing changed.
    Again,
    /// Show all apps.
    List,
    /// Replace the process of one app.
    Restart(usize),
    /// End all apps.
    Stop,
    /// End everything.
    ShutDown,
}

/// One process manager.
pub struct Contender {
    /// The column.
    pub name: &'static str,
    /// Its program, looked up on PATH.
    pub program: &'static str,
    /// Writes the file that declares so many apps, all with this command.
    pub declare: fn(&Place, usize, &[String]),
    /// The arguments (and program, where it has several) of a verb; none = it has no such thing.
    pub words: fn(&Place, Verb) -> Vec<String>,
    /// Variables besides PATH and HOME.
    pub env: fn(&Place) -> Vec<(&'static str, String)>,
}

/// The folders of an arena.
pub struct Place {
    /// Everything.
    pub root: PathBuf,
    /// Where the file with the apps stands, and where commands are run.
    pub project: PathBuf,
}

impl Place {
    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.project.join(name), text).unwrap();
    }

    /// A path below the root, as text.
    pub fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }
}

/// All of them, in the order of the columns.
pub fn all() -> Vec<Contender> {
    vec![
        pm::contender(),
        oxmgr::contender(),
        decompose::contender(),
        pitchfork::contender(),
        shep::contender(),
        pm2::contender(),
        supervisord::contender(),
        circus::contender(),
    ]
}

impl Contender {
    /// Whether its program is on PATH.
    pub fn is_installed(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Path::new(self.program).is_absolute()
            || std::env::split_paths(&path).any(|folder| folder.join(self.program).is_file())
    }

    /// The last word that `--version` prints and that looks like a version.
    pub fn version(&self) -> String {
        let arena = Arena::new();
        let mut command = Command::new(self.program);
        command.arg("--version").env("HOME", arena.path()).stdin(Stdio::null());
        let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = output.unwrap_or_default();
        let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
        text.split_whitespace().rfind(is_version).unwrap_or("unknown").to_owned()
    }
}

/// A contender in an arena.
pub struct Stage<'a> {
    /// Who.
    pub contender: &'a Contender,
    place: Place,
}

impl<'a> Stage<'a> {
    /// Puts a contender into an arena.
    pub fn new(contender: &'a Contender, arena: &Arena) -> Self {
        let root = arena.path().to_owned();
        Self { contender, place: Place { project: root.join("project"), root } }
    }

    /// Declares `count` apps that run `words`.
    pub fn declare(&self, count: usize, words: &[String]) {
        (self.contender.declare)(&self.place, count, words);
    }

    /// Starts the manager; milliseconds until it answers.
    pub fn boot(&self) -> Option<f64> {
        milliseconds_of(&mut self.command(Verb::Boot)?)
    }

    /// Applies what is declared.
    pub fn apply(&self) -> Command {
        self.command(Verb::Apply).expect("everybody can start apps")
    }

    /// Applies it again.
    pub fn again(&self) -> Option<Command> {
        self.command(Verb::Again)
    }

    /// Shows all apps.
    pub fn list(&self) -> Command {
        self.command(Verb::List).expect("everybody can list")
    }

    /// Restarts one app.
    pub fn restart(&self, number: usize) -> Option<Command> {
        self.command(Verb::Restart(number))
    }

    /// Stops all apps.
    pub fn stop(&self) -> Command {
        self.command(Verb::Stop).expect("everybody can stop")
    }

    /// Ends everything, as far as the contender can; the arena ends the rest.
    pub fn shut_down(&self) {
        self.command(Verb::ShutDown).map(|mut command| milliseconds_of(&mut command));
    }

    /// Its program with these arguments.
    pub fn command_of(&self, words: &[&str]) -> Command {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.command_with(&words).expect("there are words")
    }

    fn command(&self, verb: Verb) -> Option<Command> {
        self.command_with(&(self.contender.words)(&self.place, verb))
    }

    fn command_with(&self, words: &[String]) -> Option<Command> {
        // A contender with several programs names the other one with a bang: `!supervisorctl`.
        let (first, rest) = words.split_first()?;
        let (program, args) = match first.strip_prefix('!') {
            Some(other) => (other, rest),
            None => (self.contender.program, words),
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.place.project).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.place.root.join("home"));
        command.envs((self.contender.env)(&self.place));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(command)
    }
}

/// `w0007`.
fn app(number: usize) -> String {
    format!("w{number:04}")
}

/// Words to a list of arguments.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
