//! Every process there is, with the number and the words by which PM2 knows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::fail::{Code, CommandError};
use super::super::session::{self, Session};
use super::kept::{self, CountedFrom};
use crate::cli::file;
use crate::model::{AppId, StatusWord, Template};
use crate::pm2::{KnownProcess, Selector, choose};
use crate::wire::{DescribedApp, Row, Scope, Selection};

/// All processes, by number.
pub(super) struct DoorScene {
    apps: Vec<DescribedApp>,
    places: Vec<(usize, usize)>,
    known: Vec<KnownProcess>,
    counted_from: BTreeMap<String, CountedFrom>,
}

/// One process.
#[derive(Clone, Copy)]
pub(super) struct ListedProcess<'a> {
    pub number: u32,
    pub app: &'a DescribedApp,
    pub row: &'a Row,
    pub known: &'a KnownProcess,
    /// Since a `reset`.
    pub counted_from: Option<CountedFrom>,
}

impl ListedProcess<'_> {
    pub(super) fn id(&self) -> AppId {
        self.app.spec.id()
    }

    /// `api (0)`.
    pub(super) fn label(&self) -> String {
        format!("{} ({})", self.known.name, self.number)
    }

    /// PM2's word for its state.
    pub(super) fn status(&self) -> &'static str {
        match self.row.status.word {
            StatusWord::Running | StatusWord::Unhealthy => "online",
            StatusWord::Waiting if self.app.spec.is_timed_task() => "stopped",
            StatusWord::Starting | StatusWord::Waiting => "launching",
            StatusWord::Stopping => "stopping",
            StatusWord::Stopped | StatusWord::Done => "stopped",
            StatusWord::Backoff => "waiting restart",
            StatusWord::Errored => "errored",
        }
    }

    pub(super) fn is_online(&self) -> bool {
        matches!(self.status(), "online" | "launching" | "waiting restart")
    }

    /// Starts after the first one.
    pub(super) fn starts(&self) -> u32 {
        self.row.incarnation.saturating_sub(1).max(self.row.restarts)
    }

    /// The same since a `reset`.
    pub(super) fn restarts(&self) -> u32 {
        self.starts().saturating_sub(self.counted_from.map_or(0, |from| from.starts))
    }

    /// The files of its output and of its errors: those that are named, else its log.
    pub(super) fn log_paths(&self) -> [Option<PathBuf>; 2] {
        let (slot, spec) = (self.row.slot.unwrap_or(0), &self.app.spec);
        let log = self.app.logs.iter().find(|files| files.slot == slot);
        let named = |file: &Template| PathBuf::from(file.fill(slot, spec.run.port));
        [
            spec.logs.out_file.as_ref().map(named).or_else(|| log?.stdout.clone()),
            spec.logs.error_file.as_ref().map(named).or_else(|| log?.stderr.clone()),
        ]
    }
}

/// Of every project.
pub(super) fn everywhere(selectors: Vec<String>) -> Selection {
    Selection { selectors, scope: Scope { everywhere: true, ..Scope::default() } }
}

impl DoorScene {
    /// Asks the daemon, which is started if none runs.
    ///
    /// # Errors
    /// It cannot be reached; there is no home.
    pub(super) fn ask(session: &mut Session) -> Result<Self, CommandError> {
        Self::ask_in_order(session, &[])
    }

    /// The same, where those of these apps that have no number yet are counted in this order: that of their file.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn ask_in_order(session: &mut Session, order: &[AppId]) -> Result<Self, CommandError> {
        let mut client = Session::client()?;
        let answer = client.describe(&everywhere(Vec::new()))?;
        session.compare_versions(&client);
        Self::of(answer.apps, order)
    }

    fn of(apps: Vec<DescribedApp>, order: &[AppId]) -> Result<Self, CommandError> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (at, app) in apps.iter().enumerate() {
            places.extend(
                app.instances.iter().enumerate().filter(|(_, row)| !row.is_successor).map(|(row, _)| (at, row)),
            );
        }
        let row = |&(app, row): &(usize, usize)| &apps[app].instances[row];
        places.sort_by_key(|place| {
            let id = apps[place.0].spec.id();
            order.iter().position(|first| *first == id).unwrap_or(usize::MAX)
        });
        let present: Vec<&str> = places.iter().map(|place| row(place).id.as_str()).collect();
        let kept = kept::update(|kept| {
            kept.numbers = kept.numbers.renewed(&present);
            let is_there = |name: &String| present.iter().any(|id| name_by_hand(id) == Some(name.as_str()));
            kept.scripts.retain(|name, _| is_there(name));
            kept.counted_from.retain(|id, _| present.contains(&id.as_str()));
        })?;
        let number = |place: &(usize, usize)| kept.numbers.of(&row(place).id).unwrap_or(u32::MAX);
        places.sort_by_key(number);
        let known = places.iter().map(|place| {
            let spec = &apps[place.0].spec;
            KnownProcess {
                number: number(place),
                name: spec.name.to_string(),
                namespace: spec.namespace.clone(),
                script: script_of(&apps[place.0]),
            }
        });
        let known = known.collect();
        Ok(Self { apps, places, known, counted_from: kept.counted_from })
    }

    /// In the order of their numbers.
    pub(super) fn members(&self) -> impl Iterator<Item = ListedProcess<'_>> {
        (0..self.places.len()).map(|at| self.member(at))
    }

    fn member(&self, at: usize) -> ListedProcess<'_> {
        let (app, row) = self.places[at];
        let app = &self.apps[app];
        let (known, row) = (&self.known[at], &app.instances[row]);
        let counted_from = self.counted_from.get(&row.id).copied();
        ListedProcess { number: known.number, app, row, known, counted_from }
    }

    /// Those that a word means; none if there are none.
    ///
    /// # Errors
    /// The word is a pattern that is none.
    pub(super) fn meant_by(&self, word: &str) -> Result<Vec<ListedProcess<'_>>, CommandError> {
        let path = file::absolute(&session::folder()?, word.as_ref()).to_string_lossy().into_owned();
        let found = choose(&Selector::read(word, path)?, &self.known);
        Ok(found.into_iter().map(|at| self.member(at)).collect())
    }

    /// Those that a word means.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn named(&self, word: &str) -> Result<Vec<ListedProcess<'_>>, CommandError> {
        let found = self.meant_by(word)?;
        if found.is_empty() {
            let what =
                if word == "all" { "there is no app".to_owned() } else { format!("no app, namespace or id `{word}`") };
            return Err(CommandError::new(Code::Error, what));
        }
        Ok(found)
    }

    /// Words for the daemon: whole apps where every process of one is meant.
    pub(super) fn selectors(&self, meant: &[ListedProcess<'_>]) -> Vec<String> {
        let mut selectors: Vec<String> = Vec::new();
        for member in meant {
            let id = member.id();
            let count =
                |members: &mut dyn Iterator<Item = ListedProcess<'_>>| members.filter(|one| one.id() == id).count();
            let is_whole = count(&mut meant.iter().copied()) == count(&mut self.members());
            let selector = if is_whole || member.row.slot.is_none() { id.to_string() } else { member.row.id.clone() };
            if !selectors.contains(&selector) {
                selectors.push(selector);
            }
        }
        selectors
    }
}

/// The name in `_:api/0`: an app that no file declares.
fn name_by_hand(id: &str) -> Option<&str> {
    id.strip_prefix("_:")?.split('/').next()
}

/// The absolute path of what an app runs.
fn script_of(app: &DescribedApp) -> String {
    let run = &app.spec.run;
    match (&run.script, run.command.first()) {
        (Some(script), _) => file::absolute(&run.cwd, script.as_ref()).to_string_lossy().into_owned(),
        (None, Some(_)) if run.shell => "/bin/sh".to_owned(),
        (None, Some(program)) => program.to_string(),
        (None, None) => String::new(),
    }
}
