//! When there are colours: `--color`, `NO_COLOR`, `CLICOLOR_FORCE`, a terminal or none.

use crate::support::{SOON, Sandbox, Terminal, run, wait_for};

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

#[test]
fn option_before_environment_before_terminal() {
    let sandbox = Sandbox::applied(FILE);
    let force = ("CLICOLOR_FORCE", "1");
    let none = ("NO_COLOR", "1");
    for (option, variables, in_pipe, on_terminal) in [
        (None, &[][..], false, true),
        (None, &[none], false, false),
        (None, &[force], true, true),
        (None, &[force, none], false, false),
        (None, &[("TERM", "dumb")], false, false),
        (Some("always"), &[none], true, true),
        (Some("never"), &[force], false, false),
        (Some("auto"), &[force], false, true),
    ] {
        let mut words = vec!["list"];
        let option = option.map(|option| format!("--color={option}"));
        words.extend(option.as_deref());
        let command = || {
            let mut command = sandbox.command(&words);
            command.envs(variables.iter().copied());
            command
        };
        let piped = run(&mut command()).ok().stdout;
        assert_eq!(piped.contains('\x1b'), in_pipe, "{words:?} {variables:?}: {piped:?}");
        if variables.iter().any(|(name, _)| *name == "TERM") {
            continue;
        }
        let (terminal, mut child) = Terminal::start(&mut command(), false);
        wait_for("it ends", SOON, || child.try_wait().unwrap());
        let text = terminal.whole_text();
        assert_eq!(text.contains('\x1b'), on_terminal, "{words:?} {variables:?}: {text:?}");
    }
    // What is wrong with a call, and help, are painted by the same rule.
    let wrong = sandbox.pm(&["--color", "always", "aply"]).code(64);
    assert!(wrong.stderr.contains('\x1b') && wrong.stderr.contains("apply"), "{wrong}");
    assert!(sandbox.pm(&["help", "--color", "always"]).ok().stdout.contains('\x1b'));
    sandbox.pm(&["list", "--color", "sometimes"]).code(64);
    assert!(!sandbox.pm(&["list", "--json", "--color", "always"]).ok().stdout.contains('\x1b'));
}
