//! Turns what files of other tools declare into an ecosystem document: compose files and Procfiles.
//!
//! In:    the data of a compose file, the text of a Procfile     Out:  a [`crate::pm2::Translation`]
//! Never: I/O; a value of the shell; a key that is dropped without a word
//! Walk:  [`crate::cli`] → `compose` or `procfile` → [`crate::pm2::to_toml`]
//!
//! Only what describes a process is translated. A container brings files, users and addresses of its own, which a
//! process of this machine does not have: each such key is a remark.

mod compose;
mod procfile;

pub use compose::of_compose;
pub use procfile::of_procfile;

use serde_json::Value;

use crate::pm2::{Remark, TranslatedApp, valid_name};

/// What is collected about one app while its declaration is read.
#[derive(Default)]
struct Draft {
    name: String,
    keys: Vec<(&'static str, Value)>,
    remarks: Vec<Remark>,
}

impl Draft {
    /// An app with this name, or the nearest one that can be typed without quotes.
    fn named(wanted: &str) -> Self {
        let name = valid_name(wanted);
        let mut draft = Self { name: name.clone(), ..Self::default() };
        if name != wanted {
            draft.remark("name", format!("`{wanted}` becomes `{name}`: names have letters, digits, `.`, `_`, `-`"));
        }
        draft.put("name", name);
        draft
    }

    fn put(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.push((key, value.into()));
    }

    fn remark(&mut self, key: &str, says: impl Into<String>) {
        self.remarks.push(Remark { app: Some(self.name.clone()), key: key.to_owned(), says: says.into() });
    }

    fn app(self) -> (TranslatedApp, Vec<Remark>) {
        (TranslatedApp { name: self.name, keys: self.keys, profiles: Vec::new() }, self.remarks)
    }
}

/// Whether a line needs a shell: variables, several commands, redirections, globs, or a variable set in front.
fn needs_shell(line: &str) -> bool {
    let mut quote = None;
    for letter in line.chars() {
        let is_expanded = matches!(letter, '$' | '`') && quote != Some('\'');
        let is_bare = quote.is_none() && "|&;<>()*?[{~#\n".contains(letter);
        match quote {
            _ if is_expanded || is_bare => return true,
            Some(open) if letter == open => quote = None,
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            _ => {}
        }
    }
    let first = line.split_whitespace().next().unwrap_or_default();
    let is_builtin =
        matches!(first, "cd" | "exec" | "export" | "source" | "." | "if" | "for" | "while" | "set" | "ulimit");
    is_builtin || first.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_used_where_a_line_needs_one() {
        for (line, needs) in [
            ("node server.js --port 80", false),
            ("python3 -c 'print($x; 1)'", false),
            ("node server.js --port $PORT", true),
            ("echo \"$HOME\"", true),
            ("npm run build && npm start", true),
            ("NODE_ENV=production node a.js", true),
            ("cd api && node a.js", true),
            ("exec node a.js", true),
            ("sh -c 'a | b'", false),
            ("ls *.js", true),
            ("", false),
        ] {
            assert_eq!(needs_shell(line), needs, "{line}");
        }
    }
}
