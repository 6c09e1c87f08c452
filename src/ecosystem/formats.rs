//! The rule for each form of text: what the reader accepts, and the same as a pattern for the schema.

use crate::model::{AppName, AutoPort, Bytes, Millis, ProjectName, QuantityError, TextFormat};

use super::diagnostic::code;

/// What is accepted as a text of one form.
pub(super) struct TextRule {
    /// With an article: `a duration such as "5s"`.
    pub words: &'static str,
    /// The same language as `check` accepts, for the schema.
    pub pattern: &'static str,
    pub check: fn(&str) -> Result<(), Flaw>,
    /// Whether `0` as a number is accepted too.
    pub takes_zero: bool,
    /// Whether `${VAR}` may stand in it.
    pub takes_variables: bool,
}

/// What is wrong with a text.
pub(super) struct Flaw {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl Flaw {
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: code::BAD_VALUE, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The rule for a form.
pub(super) fn rule(format: TextFormat) -> &'static TextRule {
    match format {
        TextFormat::AppName => &APP_NAME,
        TextFormat::ProjectName => &PROJECT_NAME,
        TextFormat::ProfileName => &PROFILE_NAME,
        TextFormat::VariableName => &VARIABLE_NAME,
        TextFormat::PlainText => &PLAIN_TEXT,
        TextFormat::Argument => &ARGUMENT,
        TextFormat::Duration => &DURATION,
        TextFormat::Size => &SIZE,
        TextFormat::CpuShare => &CPU_SHARE,
        TextFormat::AutoPort => &AUTO_PORT,
        TextFormat::SocketMode => &SOCKET_MODE,
        TextFormat::FileMask => &UMASK,
        TextFormat::OldName => &OLD_NAME,
    }
}

static APP_NAME: TextRule = TextRule {
    words: "an app name",
    pattern: "^(?!all$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
    check: |text| AppName::new(text).map(drop).map_err(|problem| Flaw::new(problem.to_string())),
    takes_zero: false,
    takes_variables: false,
};

static PROJECT_NAME: TextRule = TextRule {
    words: "a name (letters, digits, `.`, `_`, `-`)",
    pattern: "^(?!all$|_$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
    check: |text| match ProjectName::plain(text) {
        Ok(name) if name.is_nobody() => Err(Flaw::new("`_` is the project of apps started without a file")),
        Ok(_) => Ok(()),
        Err(problem) => Err(Flaw::new(problem.to_string())),
    },
    takes_zero: false,
    takes_variables: false,
};

static PROFILE_NAME: TextRule = TextRule {
    words: "a profile name",
    pattern: "^(?!none$)[A-Za-z0-9_.-]+$",
    check: |text| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match text {
            "none" => Err(Flaw::new("`none` means no profile")),
            _ if !text.is_empty() && text.chars().all(is_plain) => Ok(()),
            _ => Err(Flaw::new(format!("`{text}` is not a profile name (letters, digits, `.`, `_`, `-`)"))),
        }
    },
    takes_zero: false,
    takes_variables: false,
};

static VARIABLE_NAME: TextRule = TextRule {
    words: "a variable name",
    pattern: "^[^=\\u0000]+$",
    check: |text| match text {
        "" => Err(Flaw::new("a variable needs a name")),
        _ if text.contains(['=', '\0']) => Err(Flaw::new(format!("`{text}` is not a variable name"))),
        _ => Ok(()),
    },
    takes_zero: false,
    takes_variables: false,
};

static PLAIN_TEXT: TextRule = TextRule {
    words: "a string",
    pattern: "^[^\\u0000]+$",
    check: |text| match text {
        "" => Err(Flaw::new("the text is empty")),
        _ if text.contains('\0') => Err(Flaw::new("the text holds a NUL character")),
        _ => Ok(()),
    },
    takes_zero: false,
    takes_variables: true,
};

static ARGUMENT: TextRule = TextRule {
    words: "a string",
    pattern: "^[^\\u0000]*$",
    check: |text| if text.contains('\0') { Err(Flaw::new("the text holds a NUL character")) } else { Ok(()) },
    takes_zero: false,
    takes_variables: true,
};

static DURATION: TextRule = TextRule {
    words: "a duration such as \"5s\"",
    pattern: r"^\s*(0+(\.0*)?|((\d+\.?\d*|\.\d+)(ms|sec|s|min|m|h|d)\s*)+)\s*$",
    check: |text| {
        Millis::parse(text)
            .map(drop)
            .map_err(|problem| quantity(&problem, "a duration", |n| format!("write \"{n}ms\" or \"{n}s\"")))
    },
    takes_zero: true,
    takes_variables: true,
};

static SIZE: TextRule = TextRule {
    words: "a size such as \"300M\"",
    pattern: r"^\s*(0+(\.0*)?|(\d+\.?\d*|\.\d+)\s*([bB]|[kKmMgGtT]([iI]?[bB])?))\s*$",
    check: |text| {
        Bytes::parse(text)
            .map(drop)
            .map_err(|problem| quantity(&problem, "a size", |n| format!("write \"{n}B\" or \"{n}M\"")))
    },
    takes_zero: true,
    takes_variables: true,
};

static CPU_SHARE: TextRule = TextRule {
    words: "a share of one CPU such as \"50%\"",
    pattern: r"^[1-9][0-9]{0,5}%$",
    check: |text| match percent(text) {
        Some(_) => Ok(()),
        None => Err(Flaw::new(format!("`{text}` is not a share of a CPU")).hint("write 2 for two CPUs, or \"50%\"")),
    },
    takes_zero: false,
    takes_variables: true,
};

fn quantity(problem: &QuantityError, what: &str, both: fn(&str) -> String) -> Flaw {
    match problem {
        QuantityError::NoUnit(number) if number.trim().parse::<f64>().is_ok() => Flaw {
            code: code::MISSING_UNIT,
            message: format!("`{number}` has no unit: {what} needs one"),
            hint: Some(both(number)),
        },
        QuantityError::NoUnit(text) => Flaw::new(format!("`{text}` is not {what}")).hint(looks_like(what, both)),
        _ => Flaw::new(problem.to_string()).hint(looks_like(what, both)),
    }
}

fn looks_like(what: &str, both: fn(&str) -> String) -> String {
    format!("{what} looks like {}", both("5").trim_start_matches("write "))
}

static AUTO_PORT: TextRule = TextRule {
    words: "\"auto\" or a range such as \"auto:8000-8100\"",
    pattern: "^auto(:[1-9][0-9]{0,4}-[1-9][0-9]{0,4})?$",
    check: |text| match AutoPort::parse(text) {
        Some(_) => Ok(()),
        None => {
            let code = if text.starts_with("auto") { code::BAD_VALUE } else { code::WRONG_TYPE };
            let flaw = Flaw { code, ..Flaw::new(format!("`{text}` is not a port")) };
            Err(flaw.hint("write a number, \"auto\" or \"auto:8000-8100\""))
        }
    },
    takes_zero: false,
    takes_variables: true,
};

static SOCKET_MODE: TextRule = TextRule {
    words: "an octal string such as \"0660\"",
    pattern: "^(0o)?0?[0-7]{1,3}$",
    check: |text| match umask(text) {
        Some(mode) if mode <= 0o777 => Ok(()),
        _ => Err(Flaw::new(format!("`{text}` is not the mode of a socket")).hint("write \"0660\" or \"0o660\"")),
    },
    takes_zero: false,
    takes_variables: true,
};

static UMASK: TextRule = TextRule {
    words: "an octal string such as \"027\"",
    pattern: "^(0o)?0?[0-7]{1,3}$",
    check: |text| match umask(text) {
        Some(mask) if mask <= 0o777 => Ok(()),
        _ => Err(Flaw::new(format!("`{text}` is not an octal mask")).hint("write \"022\" or \"0o022\"")),
    },
    takes_zero: false,
    takes_variables: true,
};

static OLD_NAME: TextRule = TextRule {
    words: "\"old-name\" or \"project:old-name\"",
    pattern: "^([A-Za-z0-9_][A-Za-z0-9._-]{0,99}:)?(?!all$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
    check: |text| {
        let (project, name) = text.split_once(':').map_or((None, text), |(project, name)| (Some(project), name));
        project
            .map_or(Ok(()), |project| ProjectName::plain(project).map(drop))
            .and_then(|()| AppName::new(name).map(drop))
            .map_err(|problem| Flaw::new(problem.to_string()))
    },
    takes_zero: false,
    takes_variables: false,
};

/// `2` = two CPUs = 200 percent; `50%` = half a CPU.
pub(super) fn percent(text: &str) -> Option<u32> {
    match text.strip_suffix('%') {
        Some(share) => share.parse().ok().filter(|share| (1..=102_400).contains(share)),
        None => text.parse::<u32>().ok().filter(|cpus| (1..=1024).contains(cpus)).map(|cpus| cpus * 100),
    }
}

/// Reads `022`, `0o022`.
pub(super) fn umask(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = (1..=4).contains(&digits.len()) && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    is_octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}
