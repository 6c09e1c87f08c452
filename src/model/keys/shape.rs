//! What a value may look like, as data: the reader checks it, the schema is made from it.

use super::{Level, Unit};

/// A set of accepted values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// A text of a certain form.
    TextFormat(TextFormat),
    /// `true` or `false`.
    Boolean,
    /// A whole number in a range.
    Integer(i64, i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of values of one shape.
    List(&'static Self),
    /// Free keys of a form, each with a value of one shape.
    Table(TextFormat, &'static Self),
    /// Known keys.
    Record(&'static [Field]),
    /// The keys of an app, as far as they may stand there.
    Keys(Level),
    /// One of several shapes.
    Any(&'static [Self]),
}

impl Shape {
    /// The known keys inside; none where it is no table, or one with free names.
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Self::Record(fields) => fields,
            Self::Any(shapes) => shapes.iter().map(Self::fields).find(|fields| !fields.is_empty()).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// What a single value of it looks like, if it is a list.
    pub fn item(&self) -> Option<&'static Self> {
        match self {
            Self::List(item) => Some(item),
            Self::Any(shapes) => shapes.iter().find_map(Self::item),
            _ => None,
        }
    }

    /// What stands at each of its keys, if their names are free.
    pub fn of_free_names(&self) -> Option<&'static Self> {
        match self {
            Self::Table(_, value) => Some(value),
            Self::Any(shapes) => shapes.iter().find_map(Self::of_free_names),
            _ => None,
        }
    }

    /// Whether it holds keys of an app.
    pub fn has_app_keys(&self) -> bool {
        match self {
            Self::Keys(_) => true,
            Self::List(inside) | Self::Table(_, inside) => inside.has_app_keys(),
            Self::Any(shapes) => shapes.iter().any(Self::has_app_keys),
            _ => false,
        }
    }
}

/// One known key of a [`Shape::Record`]. What a change costs stands at the key of the app that holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// As written in the file.
    pub name: &'static str,
    /// What its value is counted in.
    pub unit: Unit,
    /// What it takes.
    pub shape: Shape,
    /// Whether the table makes no sense without it.
    pub is_required: bool,
    /// The default, as for [`super::Key::default`].
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// A form that a text has; `ecosystem` has the rule for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextFormat {
    /// The name of an app.
    AppName,
    /// The name of a project that a file may claim.
    ProjectName,
    /// The name of a profile.
    ProfileName,
    /// The name of an environment variable.
    VariableName,
    /// A former name of an app, its former project before it if that was another.
    OldName,
    /// Any text that is not empty.
    PlainText,
    /// What can be passed to a program: any text.
    Argument,
    /// `"5s"`.
    Duration,
    /// `"300M"`.
    Size,
    /// `"50%"`.
    CpuShare,
    /// `"auto"`, `"auto:8000-8100"`.
    AutoPort,
    /// The mode of a socket's file.
    SocketMode,
    /// `"027"`.
    FileMask,
}
