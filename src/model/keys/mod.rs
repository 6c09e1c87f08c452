//! Every key of an ecosystem file, once: reader, planner, schema, `pm explain` and the reference read these rows.
//!
//! In:    nothing                          Out:  the rows and how one is found
//! Never: reading a value (that is [`crate::ecosystem`])
//! Walk:  the rows of an app (`table`) → those inside its tables (`fields`) → what the columns mean (here, `shape`)

mod fields;
mod shape;
mod signals;
mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use shape::{Field, Shape, TextFormat};
pub(super) use signals::signal_name;
pub use signals::{any_signal, signal_text, stop_signal};
pub use table::{FILE_KEYS, KEYS};

/// What a change of a key costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Applied at once; no process is touched, counters stay.
    Live,
    /// Slots are added or removed; survivors are not touched.
    Scale,
    /// Used when a user next causes a start.
    Next,
    /// Needs a new process.
    Respawn,
    /// Another app, unless `moved_from` says it is the same.
    Identity,
}

impl Class {
    /// The word for `pm explain` and the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Scale => "scale",
            Self::Next => "next start",
            Self::Respawn => "respawn",
            Self::Identity => "identity",
        }
    }
}

/// What a value is counted in: a file says `"10s"` where a spec holds 10000.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// As it stands: a text, a number, true or false, a list of them.
    Plain,
    /// A [`super::Template`], or a list or table of them: a dollar that is meant as such is doubled inside.
    Template,
    /// Words of a command line, templates.
    CommandLine,
    /// A number of milliseconds.
    Duration,
    /// A number of bytes.
    Size,
    /// The number of a signal.
    Signal,
    /// The mode of a file.
    Mode,
    /// A file mode mask.
    Mask,
    /// Percent of one CPU.
    CpuShare,
    /// [`super::ListenAddress`]es.
    Address,
    /// The digest of a file's contents.
    Contents,
}

/// Where keys of an app stand, those that all of them may stand in first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// In the app itself.
    App,
    /// In `defaults`, for every app of the file.
    Defaults,
    /// In a profile.
    Profile,
}

/// One key of an app.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written in the file; `env_NAME` stands for any name.
    pub name: &'static str,
    /// Other spellings of the same key (PM2's).
    pub aliases: &'static [&'static str],
    /// What a change costs, also for every key inside its table.
    pub class: Class,
    /// What its value is counted in.
    pub unit: Unit,
    /// The field of [`super::App`] that holds it, where the code has put several keys together.
    pub group: Option<&'static str>,
    /// The last level at which it may stand; it may at those before, too.
    pub furthest: Level,
    /// What it takes, with the keys inside its table.
    pub shape: Shape,
    /// What it takes, in words.
    pub kind: &'static str,
    /// The default: as a file would write it where it is one value, else in words.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub help: &'static str,
    /// An example line.
    pub example: &'static str,
    /// Whether its behaviour is built; otherwise any value but the default is refused with the code `unsupported`.
    pub is_built: bool,
    /// The first version that knows it.
    pub since: &'static str,
}

/// One key of a file, beside those of its apps.
#[derive(Clone, Copy, Debug)]
pub struct FileKey {
    /// As written in the file.
    pub name: &'static str,
    /// What it is in an app, if every app has it, too.
    pub leaf: Option<(Class, Unit)>,
    /// What it takes.
    pub shape: Shape,
    /// What it takes, in words.
    pub kind: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Example lines.
    pub example: &'static str,
}

impl Key {
    /// All its spellings, the main one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The rows of the keys inside its table, however deep, by the path below it: `timeout`, `http.url`.
    pub fn inside(&self) -> Vec<(String, &'static Field)> {
        fn walk(above: &str, shape: &Shape, found: &mut Vec<(String, &'static Field)>) {
            for field in shape.fields() {
                let path = format!("{above}{}", field.name);
                found.push((path.clone(), field));
                walk(&format!("{path}."), &field.shape, found);
            }
        }
        let mut found = Vec::new();
        walk("", &self.shape, &mut found);
        found
    }

    /// Whether it may stand there.
    pub fn is_allowed(&self, level: Level) -> bool {
        level <= self.furthest
    }

    /// Whether a scalar says what is meant without it.
    pub fn is_default(&self, text: &str) -> bool {
        match self.default.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(default) => text == default,
            // Anything else without quotes may be words about the default.
            None => text == self.default && ["true", "false"].contains(&text),
        }
    }
}

/// Finds a key of an app by its name or one of its aliases; `env_production` is found as `env_NAME`.
pub fn app_key(name: &str) -> Option<&'static Key> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Key>> =
        LazyLock::new(|| KEYS.iter().flat_map(|key| key.names().map(move |name| (name, key))).collect());
    BY_NAME.get(name).or_else(|| profile_of(name).and_then(|_| BY_NAME.get("env_NAME"))).copied()
}

/// Finds a key of a file, beside those of its apps.
pub fn file_key(name: &str) -> Option<&'static FileKey> {
    FILE_KEYS.iter().find(|key| key.name == name)
}

/// The profile that `env_NAME` belongs to.
pub fn profile_of(key: &str) -> Option<&str> {
    let profile = key.strip_prefix("env_").filter(|profile| !profile.is_empty())?;
    (key != "env_file").then_some(profile)
}

/// What the rows say of one value of an app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// What a change costs.
    pub class: Class,
    /// What the value is counted in.
    pub unit: Unit,
    /// What the file takes there.
    pub shape: &'static Shape,
}

/// Looks up a value by its path in the file: `kill_timeout`, `env.LOG_LEVEL`, `ready.http.headers.Accept`.
pub fn leaf(path: &str) -> Option<Leaf> {
    if let Some((class, unit, shape)) = file_key(path).and_then(|key| Some((key.leaf?.0, key.leaf?.1, &key.shape))) {
        return Some(Leaf { class, unit, shape });
    }
    let (name, mut below) = path.split_once('.').unwrap_or((path, ""));
    let key = app_key(name)?;
    let mut leaf = Leaf { class: key.class, unit: key.unit, shape: &key.shape };
    while !below.is_empty() && !leaf.shape.fields().is_empty() {
        let (name, rest) = below.split_once('.').unwrap_or((below, ""));
        let field = leaf.shape.fields().iter().find(|field| field.name == name)?;
        leaf = Leaf { class: leaf.class, unit: field.unit, shape: &field.shape };
        below = rest;
    }
    // A name that is free may have dots in it.
    if let Some(shape) = leaf.shape.of_free_names().filter(|_| !below.is_empty()) {
        leaf.shape = shape;
    }
    Some(leaf)
}

/// Whether a field of [`super::App`] only holds several keys together: its name is no part of a path.
pub fn is_group(field: &str) -> bool {
    KEYS.iter().any(|key| key.group == Some(field))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every row of an app with its path.
    fn rows() -> Vec<(String, Class, Unit, Shape)> {
        let mut rows = Vec::new();
        for key in KEYS {
            rows.push((key.name.to_owned(), key.class, key.unit, key.shape));
            let inside = key.inside().into_iter();
            rows.extend(
                inside.map(|(path, field)| (format!("{}.{path}", key.name), key.class, field.unit, field.shape)),
            );
        }
        rows
    }

    #[test]
    fn every_row_is_found_by_its_path_and_nothing_beside_it() {
        for (path, class, unit, shape) in rows() {
            let found = leaf(&path).map(|leaf| (leaf.class, leaf.unit, *leaf.shape));
            assert_eq!(found, Some((class, unit, shape)), "{path}");
            let below = leaf(&format!("{path}.bogus"));
            assert_eq!(below.is_some(), shape.fields().is_empty(), "{path}.bogus: {below:?}");
        }
        for (path, unit) in [
            ("project", Unit::Plain),
            ("node_args", Unit::Template),
            ("env.LOG.LEVEL", Unit::Template),
            ("env_production", Unit::Template),
            ("ready.http.headers.Accept", Unit::Template),
            ("depends_on.db", Unit::Plain),
        ] {
            assert_eq!(leaf(path).map(|leaf| leaf.unit), Some(unit), "{path}");
        }
        assert!(matches!(leaf("depends_on.db.x"), Some(Leaf { shape: Shape::Choice(_), .. })));
        assert_eq!((leaf("apps"), leaf("bogus"), leaf("env_")), (None, None, None));
    }

    #[test]
    fn no_two_keys_share_a_spelling() {
        let mut seen = HashSet::new();
        for name in KEYS.iter().flat_map(Key::names) {
            assert!(seen.insert(name), "{name} twice");
            assert!(file_key(name).is_none(), "{name} is a key of the file, too");
            assert_eq!(app_key(name).map(|key| key.names().any(|other| other == name)), Some(true), "{name}");
        }
        for key in KEYS {
            let mut seen = HashSet::new();
            for (path, _) in key.inside() {
                assert!(seen.insert(path.clone()), "{}.{path} twice", key.name);
            }
        }
    }

    /// The unit in which a value of this form is kept, if the form tells.
    fn unit_of(shape: &Shape) -> Option<Unit> {
        match shape {
            Shape::TextFormat(TextFormat::Duration) => Some(Unit::Duration),
            Shape::TextFormat(TextFormat::Size) => Some(Unit::Size),
            Shape::TextFormat(TextFormat::CpuShare) => Some(Unit::CpuShare),
            Shape::TextFormat(TextFormat::SocketMode) => Some(Unit::Mode),
            Shape::TextFormat(TextFormat::FileMask) => Some(Unit::Mask),
            Shape::Any(shapes) => shapes.iter().find_map(unit_of),
            _ => None,
        }
    }

    #[test]
    fn what_a_row_takes_is_kept_in_its_unit() {
        let counted = [Unit::Duration, Unit::Size, Unit::CpuShare, Unit::Mode, Unit::Mask];
        for (path, _, unit, shape) in rows() {
            let told = Some(unit).filter(|unit| counted.contains(unit));
            assert_eq!(unit_of(&shape), told, "{path}");
        }
    }

    #[test]
    fn every_row_says_what_it_is_for() {
        for key in KEYS {
            assert!(key.help.ends_with('.') && !key.kind.is_empty() && !key.default.is_empty(), "{}", key.name);
            let example = key.example.replace("env_production", "env_NAME").replace("profiles.production", "profiles");
            assert_eq!(example.split(' ').next(), Some(key.name));
            for (path, field) in key.inside() {
                assert!(field.help.ends_with('.') && !field.default.is_empty(), "{}.{path}", key.name);
            }
        }
    }
}
