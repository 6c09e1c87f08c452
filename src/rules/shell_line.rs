//! A command line for `sh -c` → the same, with its last command in the place of the shell.
//!
//! `sd_listen_fds(3)` takes sockets only if `LISTEN_PID` is the number of the process itself, and only the number of the shell is
//! known in time. Some shells execute their last command in their own place; `dash` does not.

/// Words that only the shell itself can do, or that are part of its grammar.
const OF_THE_SHELL: &[&str] = &[
    "!", ".", ":", "[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "do", "done", "echo",
    "elif", "else", "esac", "eval", "exec", "exit", "export", "false", "fc", "fg", "fi", "for", "function", "getopts",
    "hash", "if", "jobs", "kill", "let", "local", "printf", "pwd", "read", "readonly", "return", "select", "set",
    "shift", "source", "test", "then", "time", "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset",
    "until", "wait", "while",
];

/// With `exec` before the last command, if that is one program and nothing follows it: `cd app && exec server --port 80`.
/// `None` for everything that is not plain enough to be sure of: pipes, groups, substitutions, traps.
pub(super) fn with_exec(line: &str) -> Option<String> {
    let start = last_command(line)?;
    let (before, last) = line.split_at(start);
    let last = last.trim();
    let program = last.split_whitespace().next()?;
    let is_plain = program.chars().all(|letter| letter.is_ascii_alphanumeric() || "_./+@%:-".contains(letter));
    // A trap is gone when the shell is.
    let has_trap = before.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == "trap");
    if !is_plain || has_trap || OF_THE_SHELL.contains(&program) {
        return None;
    }
    Some(if before.is_empty() { format!("exec {last}") } else { format!("{} exec {last}", before.trim_end()) })
}

/// Where the last command of a line begins.
fn last_command(line: &str) -> Option<usize> {
    let mut start = 0;
    let mut quote = None;
    let mut letters = line.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('"') | None, '\\') => drop(letters.next()),
            (Some('"') | None, '$') if next == Some('(') => return None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '$') if next == Some('{') => {
                letters.find(|(_, letter)| *letter == '}')?;
            }
            // Of `2>&1`; a text that follows (`<<`) is not understood.
            (None, '>') if next == Some('&') => drop(letters.next()),
            (None, '<') if next == Some('<') => return None,
            (None, '&') if next == Some('&') => {
                letters.next();
                start = at + 2;
            }
            (None, ';') if next != Some(';') => start = at + 1,
            (Some('"') | None, '`') | (None, '&' | '|' | ';' | '(' | ')' | '{' | '}' | '\n' | '#') => return None,
            _ => {}
        }
    }
    quote.is_none().then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_command_takes_the_place_of_the_shell_where_that_changes_nothing_else() {
        let cases = [
            ("server", Some("exec server")),
            ("  server --name 'a;b' \"c && d\" e\\;f ", Some("exec server --name 'a;b' \"c && d\" e\\;f")),
            ("cd app && ./server", Some("cd app && exec ./server")),
            ("cd app; export A=1; server > log 2>&1 < in", Some("cd app; export A=1; exec server > log 2>&1 < in")),
            ("if x; then y; fi; server ${PORT:-80} $X", Some("if x; then y; fi; exec server ${PORT:-80} $X")),
            ("exec server", None),
            ("server; echo done", None),
            ("server;", None),
            ("server | tee log", None),
            ("server || other", None),
            ("server &", None),
            ("(server)", None),
            ("A=1 server", None),
            ("trap 'rm x' EXIT; server", None),
            ("while sleep 1; do server; done", None),
            ("server $(cat x)", None),
            ("server \"`cat x`\"", None),
            ("server <<END\nx\nEND", None),
            ("a\nserver", None),
            ("$SERVER", None),
            ("server 'open", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(with_exec(line).as_deref(), expected, "{line}");
        }
    }
}
