//! Whether a command line and an environment are small enough for the kernel.

use crate::model::{Environment, ExecLimits};

/// What is too large.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooLong {
    /// One variable.
    #[error("the variable `{name}` has {bytes} bytes, but the kernel allows {most} per string")]
    Variable {
        /// Its name.
        name: String,
        /// Its length, as `NAME=value` with the end.
        bytes: u64,
        /// What is possible.
        most: u64,
    },
    /// One word of the command line.
    #[error("word {number} of the command line has {bytes} bytes, but the kernel allows {most} per string")]
    Word {
        /// 0 = the program.
        number: usize,
        /// Its length with the end.
        bytes: u64,
        /// What is possible.
        most: u64,
    },
    /// All of it.
    #[error("command line and environment have {bytes} bytes, but the kernel allows {most}")]
    Altogether {
        /// How much.
        bytes: u64,
        /// What is possible.
        most: u64,
    },
}

/// Room for what is added at the last moment: sockets that are passed on, the words of a `#!` line.
const ADDED_BYTES: u64 = 4096;
/// The kernel stores the address of every string as well.
const POINTER_BYTES: u64 = 8;

/// What `execve(2)` would refuse with `E2BIG`.
///
/// # Errors
/// The first thing that is too large.
pub fn exec_size(words: &[String], env: &Environment, limits: ExecLimits) -> Result<(), TooLong> {
    let most = limits.string_bytes;
    let size = |text: &str| text.len() as u64 + 1;
    let mut all = ADDED_BYTES;
    for (number, word) in words.iter().enumerate() {
        let bytes = size(word);
        if bytes > most {
            return Err(TooLong::Word { number, bytes, most });
        }
        all += bytes + POINTER_BYTES;
    }
    for (name, value) in env {
        let bytes = size(name) + size(value);
        if bytes > most {
            return Err(TooLong::Variable { name: name.clone(), bytes, most });
        }
        all += bytes + POINTER_BYTES;
    }
    let most = limits.total_bytes;
    if all > most { Err(TooLong::Altogether { bytes: all, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_where_the_kernel_ends_them() {
        let limits = ExecLimits { string_bytes: 131_072, total_bytes: 2 << 20 };
        let word = |bytes: usize| vec!["x".repeat(bytes)];
        let env = |bytes: usize| Environment::from([("A".to_owned(), "x".repeat(bytes))]);
        assert_eq!(exec_size(&word(131_071), &env(131_069), limits), Ok(()));
        let too_long = TooLong::Word { number: 0, bytes: 131_073, most: 131_072 };
        assert_eq!(exec_size(&word(131_072), &env(0), limits), Err(too_long));
        let too_long = TooLong::Variable { name: "A".into(), bytes: 131_073, most: 131_072 };
        assert_eq!(exec_size(&word(1), &env(131_070), limits), Err(too_long));
        let many = (0..17).map(|number| (format!("V{number}"), "x".repeat(130_000))).collect();
        assert!(matches!(exec_size(&word(1), &many, limits), Err(TooLong::Altogether { .. })));
    }
}
