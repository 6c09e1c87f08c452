//! Where the output of an app goes, how much of it is kept, and how its lines are shown.

use serde::{Deserialize, Serialize};

use super::Template;
use crate::model::{Bytes, Stream};

/// Where output goes and how much of it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogPolicy {
    /// Standard output; a template with the slot; `None` = `logs/PROJECT/NAME-out-SLOT.log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_file: Option<Template>,
    /// Standard error; `None` = `logs/PROJECT/NAME-error-SLOT.log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_file: Option<Template>,
    /// A file for both outputs, written from their logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<Template>,
    /// Copies that share a named file write whole lines into it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub merge_logs: bool,
    /// How lines are shown, and written into named files.
    #[serde(flatten)]
    pub form: LogForm,
    /// Throw all output away.
    #[serde(default)]
    pub disable_logs: bool,
    /// When a file is cut.
    pub log_rotate: Rotation,
    /// What happens when the disk is full.
    pub on_log_full: OnLogFull,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self {
            out_file: None,
            error_file: None,
            log_file: None,
            merge_logs: false,
            form: LogForm::default(),
            disable_logs: false,
            log_rotate: Rotation { size: Bytes(10 << 20), keep: 5 },
            on_log_full: OnLogFull::Drop,
        }
    }
}

impl LogPolicy {
    /// The named file that an output goes to as it is, byte for byte. `None`: its log is the default one.
    pub fn direct_file(&self, stream: Stream) -> Option<&Template> {
        self.named(stream).filter(|_| !self.has_exports())
    }

    /// The files that are written from the log of an output, for other programs to read.
    pub fn exported_files(&self, stream: Stream) -> impl Iterator<Item = &Template> {
        let is_device = |file: &&Template| file.source() == "/dev/null";
        let own = self.named(stream).filter(|file| self.has_exports() && !is_device(file));
        own.into_iter().chain(self.log_file.as_ref().filter(|file| !is_device(file)))
    }

    fn named(&self, stream: Stream) -> Option<&Template> {
        match stream {
            Stream::Stdout => self.out_file.as_ref(),
            Stream::Stderr => self.error_file.as_ref(),
        }
    }

    /// Whether the named files hold something else than the bytes of one process as they came.
    fn has_exports(&self) -> bool {
        let is_named = self.out_file.is_some() || self.error_file.is_some();
        self.log_file.is_some() || is_named && (self.merge_logs || !self.form.is_plain())
    }
}

/// How the lines of an app are shown by default, and how they are written into files for other programs. The log itself
/// always has the bytes as they came.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LogForm {
    /// As text or as objects.
    #[serde(default, skip_serializing_if = "LogFormat::is_raw")]
    pub log_format: LogFormat,
    /// The pattern (`strftime(3)`) of the time of each line; `None` = no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_timestamps: Option<String>,
}

impl LogForm {
    /// The pattern that `log_timestamps = true` means, and that objects have where the file names none.
    pub const TIMESTAMPS: &'static str = "%Y-%m-%dT%H:%M:%S.%3f%:z";

    /// Whether lines stay as they are.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// What a line becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// The text of the line.
    #[default]
    Raw,
    /// A JSON object.
    Json,
}

impl LogFormat {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_raw(&self) -> bool {
        *self == Self::Raw
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Size and number of log segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rotation {
    /// A file that has reached this size is renamed to a numbered segment.
    pub size: Bytes,
    /// Old segments that are kept.
    pub keep: u32,
}

/// What happens to lines while the disk is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLogFull {
    /// The app waits up to 30 s, then lines are dropped, counted and reported.
    Drop,
    /// The app waits forever.
    Block,
}
