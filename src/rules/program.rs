//! The command line of a spawn.

use super::shell_line::with_exec;
use crate::model::Run;

/// What to execute: `words[0]` still has to be found on PATH if it is a bare word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argv {
    /// The words; the first names the program. Never empty.
    pub words: Vec<String>,
}

/// The words for one slot. `None` if neither `script` nor `command` is given, which reading a file refuses.
pub fn argv(run: &Run, slot: u32) -> Option<Argv> {
    let fill = |templates: &[crate::model::Template]| -> Vec<String> {
        templates.iter().map(|template| template.fill(slot, run.port)).collect()
    };
    let words = match &run.script {
        Some(script) => {
            let mut words = Vec::new();
            if let Some(interpreter) = &run.interpreter {
                words.push(interpreter.clone());
                words.extend(fill(&run.interpreter_args));
            }
            words.push(script.clone());
            words.extend(fill(&run.args));
            words
        }
        None if run.shell => {
            let line = fill(&run.command).join(" ");
            // Who gets sockets finds its own number in LISTEN_PID only in the place of the shell.
            let line = if run.listen.is_empty() { line } else { with_exec(&line).unwrap_or(line) };
            vec!["sh".into(), "-c".into(), line]
        }
        None => fill(&run.command),
    };
    (!words.is_empty()).then_some(Argv { words })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Template;

    fn check(run: &Run, words: &[&str]) {
        assert_eq!(argv(run, 1).unwrap().words, words);
    }

    #[test]
    fn words_stand_in_the_order_in_which_they_are_executed() {
        let literal = |words: &[&str]| words.iter().map(|word| Template::literal(word)).collect::<Vec<_>>();
        let script = Run { script: Some("/a/x.js".into()), args: literal(&["-v", "$x"]), ..Run::default() };
        check(&script, &["/a/x.js", "-v", "$x"]);
        let node = Run { interpreter: Some("node".into()), interpreter_args: literal(&["--inspect"]), ..script };
        check(&node, &["node", "--inspect", "/a/x.js", "-v", "$x"]);
        let words = vec![Template::literal("sleep"), Template::prepared("${PORT}".into())];
        check(&Run { command: words, port: Some(10), ..Run::default() }, &["sleep", "11"]);
        let line = Run { command: literal(&["a | b"]), shell: true, ..Run::default() };
        check(&line, &["sh", "-c", "a | b"]);
        let listen = vec![crate::model::ListenAddress::Tcp("127.0.0.1:8080".parse().unwrap())];
        check(&Run { command: literal(&["cd a && b"]), listen, ..line }, &["sh", "-c", "cd a && exec b"]);
        assert_eq!(argv(&Run::default(), 0), None);
    }
}
