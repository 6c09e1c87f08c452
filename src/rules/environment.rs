//! The environment that a process starts with.

use std::path::Path;

use crate::model::{App, Environment, InstanceId, Run, Template};

/// What only the daemon knows about a spawn.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The instance.
    pub instance: &'a InstanceId,
    /// `PM_HOME` of this daemon.
    pub home: &'a str,
    /// Proof of origin, `PM_ID`: by it a process is found again when everything else is lost.
    pub cookie: &'a str,
    /// `HOME`, `USER`, `LOGNAME`, `SHELL` of the user it runs as, if another one than the recorded.
    pub identity: Option<[(&'static str, String); 4]>,
}

/// Base < file < what `pm` adds. Nothing of the shell that happened to start the daemon is in it.
pub fn environment(app: &App, base: &Environment, place: &Place<'_>) -> Environment {
    let mut all = base.clone();
    if let Some(identity) = &place.identity {
        all.extend(identity.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    let slot = place.instance.slot;
    let run = &app.run;
    for (name, value) in &run.env {
        all.insert(name.clone(), value.fill(slot, run.port));
    }
    if is_python(run) {
        all.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".to_owned());
    }
    if let Some(port) = run.port {
        all.insert("PORT".into(), (u32::from(port) + slot).to_string());
    }
    if let Some(name) = &run.slot_variables.increment_var
        && let Some(start) = all.get(name).and_then(|value| value.parse::<i64>().ok())
    {
        all.insert(name.clone(), start.saturating_add(i64::from(slot)).to_string());
    }
    let own: [(&str, String); 5] = [
        ("PM_HOME", place.home.to_owned()),
        ("PM_PROJECT", app.project.to_string()),
        ("PM_APP", app.name.to_string()),
        ("PM_INSTANCE", slot.to_string()),
        ("PM_ID", place.cookie.to_owned()),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all.insert(run.slot_variables.instance_var.clone(), slot.to_string());
    all
}

/// Python keeps what it prints in a buffer unless it is told not to: its lines would come late or never.
fn is_python(run: &Run) -> bool {
    let program = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let name = word.rsplit('/').next().unwrap_or_default();
        name.starts_with("python") || Path::new(name).extension().is_some_and(|extension| extension == "py")
    };
    let words = [run.interpreter.as_deref(), run.script.as_deref(), run.command.first().map(Template::source)];
    words.into_iter().flatten().any(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::samples::app;
    use crate::model::Template;

    fn shown(app: &App, slot: u32) -> Environment {
        let base = Environment::from([("PATH".into(), "/bin".into()), ("TZ".into(), "UTC".into())]);
        let instance = app.id().instance(slot);
        let place = Place { instance: &instance, home: "/h", cookie: "c.1.2", identity: None };
        environment(app, &base, &place)
    }

    #[test]
    fn the_file_beats_the_shell_and_pm_beats_the_file() {
        let mut app = app();
        app.run.env.insert("TZ".into(), Template::literal("Europe/Berlin"));
        app.run.env.insert("PM_APP".into(), Template::literal("forged"));
        let env = shown(&app, 0);
        assert_eq!(env["TZ"], "Europe/Berlin");
        assert_eq!(env["PATH"], "/bin");
        assert_eq!(env["PM_APP"], "web");
        assert_eq!(env["NODE_APP_INSTANCE"], "0");
        assert_eq!(env["PM_ID"], "c.1.2");
    }

    #[test]
    fn python_prints_at_once() {
        for (script, command, is_unbuffered) in [
            (Some("/srv/a.py"), "", true),
            (Some("python3.12"), "", true),
            (Some("/srv/a.js"), "", false),
            (None, "/usr/bin/python3", true),
            (None, "python -m http.server | cat", true),
            (None, "node", false),
        ] {
            let mut app = app();
            app.run.script = script.map(str::to_owned);
            app.run.command = if command.is_empty() { Vec::new() } else { vec![Template::literal(command)] };
            let value = shown(&app, 0).get("PYTHONUNBUFFERED").cloned();
            assert_eq!(value.as_deref(), is_unbuffered.then_some("1"), "{script:?} {command}");
            app.run.env.insert("PYTHONUNBUFFERED".into(), Template::literal(""));
            assert_eq!(shown(&app, 0)["PYTHONUNBUFFERED"], "", "the file decides");
        }
    }

    #[test]
    fn every_slot_has_its_own_port_and_counter() {
        let mut app = app();
        app.run.port = Some(8000);
        app.run.slot_variables.increment_var = Some("SHARD".into());
        app.run.env.insert("SHARD".into(), Template::literal("10"));
        app.run.env.insert("URL".into(), Template::prepared("http://localhost:${PORT}".into()));
        let env = shown(&app, 2);
        assert_eq!((env["PORT"].as_str(), env["SHARD"].as_str()), ("8002", "12"));
        assert_eq!(env["URL"], "http://localhost:8002");
    }

    #[test]
    fn a_base_of_another_user_is_corrected() {
        let app = app();
        let instance = app.id().instance(0);
        let identity = Some([
            ("HOME", "/home/www".to_owned()),
            ("USER", "www".to_owned()),
            ("LOGNAME", "www".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
        ]);
        let base = Environment::from([("HOME".into(), "/root".into())]);
        let place = Place { instance: &instance, home: "/h", cookie: "c", identity };
        assert_eq!(environment(&app, &base, &place)["HOME"], "/home/www");
    }
}
