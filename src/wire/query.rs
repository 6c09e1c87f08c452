//! The query of a URL, after the `?`.

use std::fmt::Write;
use std::str::FromStr;

use super::{Problem, ProblemCode};

/// Named values of a query, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads `a=1&b=%20`.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self { pairs: pairs.collect() }
    }

    /// Adds a value, if there is one.
    #[must_use]
    pub fn with<T: ToString>(mut self, name: &str, value: Option<T>) -> Self {
        if let Some(value) = value {
            self.pairs.push((name.to_owned(), value.to_string()));
        }
        self
    }

    /// Adds `name=true`, if it is.
    #[must_use]
    pub fn with_flag(self, name: &str, is_set: bool) -> Self {
        self.with(name, is_set.then_some("true"))
    }

    /// The text of a value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The texts of a value that may stand there several times.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A value, read.
    ///
    /// # Errors
    /// The text is not such a value.
    pub fn value<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || Problem::new(ProblemCode::BadRequest, format!("`{text}` is not a value of `{name}`"));
        text.parse().map(Some).map_err(|_| wrong())
    }

    /// Whether `name=true` is set.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("true" | "1" | ""))
    }

    /// The path with this query behind it.
    pub fn on(&self, path: &str) -> String {
        let mut url = path.to_owned();
        for (at, (name, value)) in self.pairs.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            encode(&mut url, name);
            url.push('=');
            encode(&mut url, value);
        }
        url
    }
}

/// Appends `text`, everything but unreserved characters as `%XX`.
fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        if let Some(value) = value {
            bytes.push(value);
            rest = &tail[2..];
        } else {
            bytes.push(if first == b'+' { b' ' } else { first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_put_into_a_query_comes_out_again() {
        for value in ["api", "shop:api/1", "a b&c=d", "100%", "%zz", "grün", "+", ""] {
            let url = Query::default().with("x", Some(value)).with_flag("y", true).on("/v1/list");
            let (path, query) = url.split_once('?').unwrap();
            let query = Query::parse(query);
            assert_eq!(
                (path, query.text("x"), query.flag("y"), query.flag("z")),
                ("/v1/list", Some(value), true, false)
            );
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_a_problem_that_names_it() {
        let problem = Query::parse("lines=many").value::<usize>("lines").unwrap_err();
        assert_eq!(problem.message, "`many` is not a value of `lines`");
        assert_eq!(Query::parse("lines=7").value::<usize>("lines"), Ok(Some(7)));
        assert_eq!(Query::parse("").value::<usize>("lines"), Ok(None));
    }
}
