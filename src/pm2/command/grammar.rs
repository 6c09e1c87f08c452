//! `[options] <command> [words] [-- arguments]`.

use super::options::{DoorOptions, Misuse};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DoorVerb {
    /// A script, a file, or processes that exist.
    Start,
    /// Processes, or those of a file.
    Stop,
    /// The same, anew.
    Restart,
    /// The same, one after the other.
    Reload,
    /// Stop and forget.
    Delete,
    /// More or fewer copies.
    Scale,
    /// The table.
    List,
    /// The table as JSON.
    JsonList,
    /// The same for people.
    PrettyList,
    /// One process.
    Describe,
    /// The environment of a process.
    Env,
    /// Its pid.
    Pid,
    /// Its number.
    Id,
    /// What it prints.
    Logs,
    /// Empty the log files.
    Flush,
    /// Count restarts from now on.
    Reset,
    /// A signal for processes.
    Signal,
    /// Values that are kept for scripts that ask for them.
    Settings,
    /// The daemon and the table.
    Report,
    /// The table, again and again.
    Monitor,
    /// Nothing to be done here.
    Save,
    /// Start what a shutdown has stopped.
    Resurrect,
    /// Stop everything and the daemon.
    Kill,
    /// Whether a daemon answers.
    Ping,
    /// A new daemon.
    Update,
    /// Start at boot.
    Startup,
    /// Do not.
    Unstartup,
    /// Write a configuration to begin with.
    Init,
    /// The options and commands.
    Help,
    /// The version.
    Version,
    /// Not there: what to do in its place.
    Missing(&'static str),
}

/// A call, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoorCall {
    /// The command.
    pub verb: DoorVerb,
    /// The command as typed: `startOrReload` is a reload of a file, `start` a restart.
    pub word: String,
    /// What it is about.
    pub targets: Vec<String>,
    /// Every option, wherever it stood.
    pub options: DoorOptions,
    /// What stands behind `--`.
    pub args: Vec<String>,
}

/// Every command, with its other spellings.
const COMMANDS: &[(&[&str], DoorVerb)] = &[
    (&["start", "startOrRestart"], DoorVerb::Start),
    (&["stop"], DoorVerb::Stop),
    (&["restart"], DoorVerb::Restart),
    (&["reload", "gracefulReload", "startOrReload", "startOrGracefulReload"], DoorVerb::Reload),
    (&["delete", "del"], DoorVerb::Delete),
    (&["scale"], DoorVerb::Scale),
    (&["list", "ls", "l", "ps", "status"], DoorVerb::List),
    (&["jlist"], DoorVerb::JsonList),
    (&["prettylist"], DoorVerb::PrettyList),
    (&["describe", "desc", "info", "show"], DoorVerb::Describe),
    (&["env"], DoorVerb::Env),
    (&["pid"], DoorVerb::Pid),
    (&["id"], DoorVerb::Id),
    (&["logs", "log"], DoorVerb::Logs),
    (&["save", "dump"], DoorVerb::Save),
    (&["resurrect"], DoorVerb::Resurrect),
    (&["kill"], DoorVerb::Kill),
    (&["ping"], DoorVerb::Ping),
    (&["update", "updatePM2", "deepUpdate"], DoorVerb::Update),
    (&["startup"], DoorVerb::Startup),
    (&["unstartup"], DoorVerb::Unstartup),
    (&["init", "ecosystem"], DoorVerb::Init),
    (&["help"], DoorVerb::Help),
    (&["reset"], DoorVerb::Reset),
    (&["flush"], DoorVerb::Flush),
    (&["sendSignal"], DoorVerb::Signal),
    (&["set", "get", "unset", "multiset", "conf", "config"], DoorVerb::Settings),
    (&["report"], DoorVerb::Report),
    (&["monit", "dash", "dashboard"], DoorVerb::Monitor),
    (&["reloadLogs", "logrotate"], DoorVerb::Missing("log files rotate by themselves: `pm explain log_rotate`")),
    (
        &["cleardump"],
        DoorVerb::Missing(
            "what runs is what is saved: `pm stop APP` or `pm delete APP` keeps an app from starting at boot",
        ),
    ),
    (
        &["send"],
        DoorVerb::Missing("`pm send APP --stdin LINE` writes to the standard input of an app with `stdin = \"pipe\"`"),
    ),
    (
        &["attach"],
        DoorVerb::Missing("`pm attach APP` does it for an app with `stdin = \"pipe\"`; `pm logs -f APP` follows any"),
    ),
    (&["trigger"], DoorVerb::Missing("`pm send APP JSON` sends a message to a Node worker")),
    (
        &["serve", "expose"],
        DoorVerb::Missing(
            "there is no static web server; start one of your own, as in `pm pm2 start 'npx serve -l 8080 dist' -n web`",
        ),
    ),
    (
        &["deploy"],
        DoorVerb::Missing(
            "`deploy` blocks are not carried out; `pm source add NAME URL` follows a branch on the machine itself, and \
             `pm --host ssh://USER@HOST apply` applies a file from here",
        ),
    ),
    (&["imonit"], DoorVerb::Missing("`pm list --watch` shows what runs, `pm logs -f` what is printed")),
    (&["slist", "sysinfos"], DoorVerb::Missing("`pm daemon status` and `pm list` show the state")),
    (&["profile:cpu", "profile:mem", "inspect"], DoorVerb::Missing("add `--inspect` or `--cpu-prof` to `node_args`")),
    (
        &["pull", "forward", "backward"],
        DoorVerb::Missing("use git, then `pm reload APP`; `pm rollback` goes back to an earlier declaration"),
    ),
    (
        &[
            "install",
            "uninstall",
            "module:install",
            "module:uninstall",
            "module:update",
            "module:generate",
            "package",
            "publish",
            "module:publish",
        ],
        DoorVerb::Missing("there are no modules: log rotation and metrics are built in"),
    ),
    (
        &["link", "unlink", "monitor", "unmonitor", "open", "plus", "register", "login", "logout"],
        DoorVerb::Missing("nothing is sent anywhere; `pm metrics` has the numbers"),
    ),
    (
        &["create", "autoinstall", "examples", "completion", "install-otel", "uninstall-otel"],
        DoorVerb::Missing("`pm help` shows what there is"),
    ),
];

/// Reads the words behind the program's name.
///
/// # Errors
/// No such command or option, or a value is missing.
pub fn read_words(words: &[String]) -> Result<DoorCall, Misuse> {
    let at = words.iter().position(|word| word == "--");
    let (own, args) = match at {
        Some(at) => (&words[..at], &words[at + 1..]),
        None => (words, &[][..]),
    };
    let (mut plain, mut options) = (Vec::new(), DoorOptions::default());
    let mut rest = own.iter().cloned();
    let mut next = rest.next();
    while let Some(word) = next {
        // `-` alone is standard input; `-1` behind `scale` is a number.
        let is_number = word.len() > 1 && word[1..].bytes().all(|byte| byte.is_ascii_digit());
        let is_option = word.starts_with('-') && word.len() > 1 && !is_number;
        let unread = if is_option {
            options.take(&word, &mut rest)?
        } else {
            plain.push(word);
            None
        };
        next = unread.or_else(|| rest.next());
    }
    call(plain, options, args.to_vec())
}

fn call(mut plain: Vec<String>, mut options: DoorOptions, args: Vec<String>) -> Result<DoorCall, Misuse> {
    if plain.is_empty() {
        let verb = if options.has("version") { DoorVerb::Version } else { DoorVerb::Help };
        return Ok(DoorCall { verb, word: String::new(), targets: Vec::new(), options, args });
    }
    let word = plain.remove(0);
    let known = COMMANDS.iter().find(|(names, _)| names.contains(&word.as_str()));
    let verb = known.map(|(_, verb)| *verb).ok_or_else(|| Misuse(format!("there is no command `{word}`")))?;
    let verb = match verb {
        _ if options.has("help") => DoorVerb::Help,
        _ if options.has("version") => DoorVerb::Version,
        verb => verb,
    };
    let wants_target = [DoorVerb::Start, DoorVerb::Stop, DoorVerb::Restart, DoorVerb::Reload].contains(&verb);
    if wants_target && plain.is_empty() {
        plain.extend(options.give_back());
    }
    let takes_none = [DoorVerb::PrettyList, DoorVerb::Save, DoorVerb::Resurrect, DoorVerb::Kill];
    if takes_none.contains(&verb) && !plain.is_empty() {
        return Err(Misuse(format!("`{word}` takes no arguments, but `{}` was given", plain.join(" "))));
    }
    Ok(DoorCall { verb, word, targets: plain, options, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<DoorCall, Misuse> {
        read_words(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere_before_the_dashes() {
        for (line, verb, targets, options, args) in [
            ("start app.js", DoorVerb::Start, "app.js", "", ""),
            (
                "start app.js -n api -i 2 -- --port 80 -n x",
                DoorVerb::Start,
                "app.js",
                "instances=2 name=api",
                "--port 80 -n x",
            ),
            ("-n api start app.js -i max", DoorVerb::Start, "app.js", "instances=max name=api", ""),
            ("start -i -1 app.js", DoorVerb::Start, "app.js", "instances=-1", ""),
            ("start app.js -i2 --name=api", DoorVerb::Start, "app.js", "instances=2 name=api", ""),
            ("start app.js --watch", DoorVerb::Start, "app.js", "watch=", ""),
            ("start app.js --watch -n api", DoorVerb::Start, "app.js", "name=api watch=", ""),
            ("start --watch app.js", DoorVerb::Start, "app.js", "watch=", ""),
            ("start app.js --watch src", DoorVerb::Start, "app.js", "watch=src", ""),
            (
                "startOrReload eco.config.js --env production --update-env",
                DoorVerb::Reload,
                "eco.config.js",
                "env=production update-env=",
                "",
            ),
            ("restart all -a -s", DoorVerb::Restart, "all", "silent= update-env=", ""),
            ("-as restart 0 1", DoorVerb::Restart, "0 1", "silent= update-env=", ""),
            ("scale api +2", DoorVerb::Scale, "api +2", "", ""),
            ("scale api -1", DoorVerb::Scale, "api -1", "", ""),
            ("del /^api/", DoorVerb::Delete, "/^api/", "", ""),
            ("start -", DoorVerb::Start, "-", "", ""),
            ("ls -m", DoorVerb::List, "", "mini-list=", ""),
            ("logs api --lines 5 --nostream", DoorVerb::Logs, "api", "lines=5 nostream=", ""),
            ("-v", DoorVerb::Version, "", "version=", ""),
            ("-V", DoorVerb::Version, "", "version=", ""),
            ("", DoorVerb::Help, "", "", ""),
            ("start --help", DoorVerb::Help, "", "help=", ""),
        ] {
            let call = read(line).unwrap_or_else(|misuse| panic!("{line}: {misuse}"));
            let given = call.options.names().map(|name| format!("{name}={}", call.options.texts(name).join(",")));
            let given = given.collect::<Vec<_>>().join(" ");
            let found = (call.verb, call.targets.join(" "), given, call.args.join(" "));
            assert_eq!(found, (verb, targets.to_owned(), options.to_owned(), args.to_owned()), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, says) in [
            ("bogus", "there is no command `bogus`"),
            ("start app.js --nonsense", "unknown option `--nonsense`"),
            ("start app.js -Z", "unknown option `-Z`"),
            ("start app.js --name", "option `--name` needs a value"),
            ("kill api", "`kill` takes no arguments, but `api` was given"),
        ] {
            assert_eq!(read(line), Err(Misuse(says.to_owned())), "{line}");
        }
    }

    #[test]
    fn no_word_means_two_commands() {
        let mut names: Vec<&str> = COMMANDS.iter().flat_map(|(names, _)| *names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
