//! Whether there are colours: by option, by environment, by terminal.

use crate::os;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::cli) enum Colours {
    /// On a terminal.
    #[default]
    Auto,
    /// On every stream.
    Always,
    /// On no stream.
    Never,
}

impl Colours {
    /// As the value of `--color`.
    pub(in crate::cli) fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    /// The value of `--color`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// As the environment says. A few look-ups instead of the whole environment: this is on the way of every command.
    pub(super) fn of_environment() -> Self {
        Self::of(os::variable)
    }

    /// `NO_COLOR` (no-color.org) before `CLICOLOR_FORCE` and `CLICOLOR` (bixense.com/clicolors) before `TERM`.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, wanted: &dyn Fn(&str) -> bool| variable(name).is_some_and(|value| wanted(&value));
        if is("NO_COLOR", &|value| !value.is_empty()) {
            Self::Never
        } else if is("CLICOLOR_FORCE", &|value| !value.is_empty() && value != "0") {
            Self::Always
        } else if is("CLICOLOR", &|value| value == "0") || is("TERM", &|value| value == "dumb") {
            Self::Never
        } else {
            Self::Auto
        }
    }

    /// For a stream that is a terminal or not.
    pub(super) fn are_on(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_in_the_order_of_its_conventions() {
        for (variables, expected) in [
            (&[][..], Colours::Auto),
            (&[("TERM", "xterm")], Colours::Auto),
            (&[("TERM", "dumb")], Colours::Never),
            (&[("NO_COLOR", "")], Colours::Auto),
            (&[("NO_COLOR", "1")], Colours::Never),
            (&[("NO_COLOR", "0")], Colours::Never),
            (&[("CLICOLOR", "0")], Colours::Never),
            (&[("CLICOLOR", "1")], Colours::Auto),
            (&[("CLICOLOR_FORCE", "0")], Colours::Auto),
            (&[("CLICOLOR_FORCE", "1")], Colours::Always),
            (&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], Colours::Always),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], Colours::Never),
        ] {
            let found = Colours::of(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(found, expected, "{variables:?}");
        }
    }
}
