//! Secrets in running text: command lines, URLs, headers, assignments, and tokens that are known by their look.

use std::ops::Range;

use super::names::{is_secret, is_secret_name};
use super::{HIDDEN, merged_ranges};

/// Where in `text` secrets stand: in order, none over another.
pub fn secret_ranges(text: &str) -> Vec<Range<usize>> {
    if text.chars().all(|letter| is_name_letter(letter) || letter == '/') {
        // A name, a number, a path: most of what is shown. Nothing but a token can stand in it.
        let mut ranges = Vec::new();
        tokens(text, 0, &mut ranges);
        return ranges;
    }
    ranges_of_sentence(text)
}

pub(super) fn ranges_of_sentence(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    in_text(text, 0, 0, &mut ranges);
    keys_in_armour(text, &mut ranges);
    settled(text, ranges)
}

/// In order, without what is hidden already.
fn settled(text: &str, mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let hidden: Vec<Range<usize>> = text.match_indices(HIDDEN).map(|(at, _)| at..at + HIDDEN.len()).collect();
    ranges.retain(|range| !hidden.iter().any(|hidden| hidden.start <= range.start && range.end <= hidden.end));
    merged_ranges(ranges)
}

/// The same for words that are split already.
pub(super) fn ranges_of_words(program: Option<&str>, words: &[&str]) -> Vec<Vec<Range<usize>>> {
    let mut reader = Reader { tool: program.and_then(tool), ..Reader::default() };
    let of_word = |word: &&str| {
        let mut ranges = Vec::new();
        reader.word(word, None, 0, 0, &mut ranges);
        keys_in_armour(word, &mut ranges);
        settled(word, ranges)
    };
    words.iter().map(of_word).collect()
}

/// Quoted texts in quoted texts are followed this far.
const DEPTH_MAX: usize = 6;

fn in_text(text: &str, start: usize, depth: usize, ranges: &mut Vec<Range<usize>>) {
    let mut reader = Reader::default();
    let mut at = 0;
    while let Some(piece) = next_piece(text, at) {
        reader.word(&text[piece.range.clone()], piece.follows, start + piece.range.start, depth, ranges);
        at = piece.end;
    }
}

/// A word of a text.
struct Piece {
    /// Without its quotes.
    range: Range<usize>,
    /// Behind the closing quote.
    end: usize,
    /// `=` or `:`, if it stands (after blanks) behind the word.
    follows: Option<char>,
}

/// The next word from `at` on: up to a blank, or what stands between quotes.
fn next_piece(text: &str, at: usize) -> Option<Piece> {
    let is_between = |letter: char| letter.is_whitespace() || "[]{}(),=:;".contains(letter);
    let start = at + text[at..].find(|letter| !is_between(letter))?;
    let first = text[start..].chars().next()?;
    if let Some(close) = closing(text, start) {
        let end = close + 1;
        return Some(Piece { range: start + 1..close, end, follows: sign_at(text, end) });
    }
    let end = end_of_word(text, start);
    let word = &text[start..end];
    let shorter = without_closers(word);
    // `name:` and `name=` with blanks behind them.
    let follows = shorter.chars().last().filter(|last| ":=".contains(*last));
    let range = start..start + shorter.trim_end_matches([':', '=']).len().max(first.len_utf8());
    Some(Piece { range, end, follows: follows.or_else(|| sign_at(text, end)) })
}

/// Without what closes something that was opened before the word.
fn without_closers(word: &str) -> &str {
    let is_odd = |quote: char| word.matches(quote).count() % 2 == 1;
    word.trim_end_matches(|last: char| ",;]})".contains(last) || (is_quote(last) && is_odd(last)))
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '`')
}

/// Where the quote that opens at `start` is closed; a backslash takes the sense from the next letter.
fn closing(text: &str, start: usize) -> Option<usize> {
    let quote = text[start..].chars().next().filter(|first| is_quote(*first))?;
    let mut is_escaped = false;
    text[start + 1..].char_indices().find_map(|(at, letter)| {
        let is_end = letter == quote && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end.then_some(start + 1 + at)
    })
}

/// Up to a blank; quotes behind `=` or `:` are taken whole: `NAME="a b"`.
fn end_of_word(text: &str, start: usize) -> usize {
    let mut before = ' ';
    let mut at = start;
    while let Some(letter) = text[at..].chars().next() {
        if letter.is_whitespace() {
            break;
        }
        match closing(text, at).filter(|_| "=:".contains(before)) {
            Some(close) => at = close + 1,
            None => at += letter.len_utf8(),
        }
        before = letter;
    }
    at
}

fn sign_at(text: &str, at: usize) -> Option<char> {
    text[at..].trim_start_matches([' ', '\t']).chars().next().filter(|sign| "=:".contains(*sign))
}

/// What the next word is, by the words before it.
#[derive(Clone, Copy, Default)]
enum Expect {
    #[default]
    Nothing,
    /// The value of this kind of name: hidden unless it is an option.
    Value,
    /// `user:password`.
    Login,
    /// The same behind `-u` of a program that is not known: it may be `user:group`, an address or a URL.
    PerhapsLogin,
    /// `Basic` is a scheme only before an encoded `user:password`.
    EncodedLogin,
    /// A scheme (`Bearer`), then the value.
    Header,
}

/// Goes through the words of a command line.
#[derive(Default)]
struct Reader {
    tool: Option<&'static Tool>,
    expect: Expect,
}

impl Reader {
    /// One word that begins at `start` of the whole text; `follows`: the sign behind it.
    fn word(&mut self, word: &str, follows: Option<char>, start: usize, depth: usize, ranges: &mut Vec<Range<usize>>) {
        if word.chars().all(|letter| letter == '-') {
            return; // the mark of a list, or the end of options: what was expected still is
        }
        let whole = start..start + word.len();
        match std::mem::take(&mut self.expect) {
            Expect::Value if is_value(word) => return ranges.push(whole),
            Expect::Header if is_scheme(word) => return self.expect = Expect::Value,
            Expect::EncodedLogin if is_encoded_login(word) => return ranges.push(whole),
            Expect::PerhapsLogin => {
                if let Some(at) = password_of(word) {
                    return ranges.push(start + at..whole.end);
                }
            }
            Expect::Header if is_value(word) && follows.is_none() => return ranges.push(whole),
            Expect::Login => {
                if let Some(at) = word.find([':', '%']) {
                    return ranges.push(start + at + 1..whole.end);
                }
            }
            Expect::Nothing | Expect::Value | Expect::Header | Expect::EncodedLogin => {}
        }
        self.expect = self.after(word, follows);
        if let Some(known) = tool(word) {
            self.tool = Some(known);
        }
        if let Some(attached) = self.tool.and_then(|tool| tool.attached(word)) {
            return ranges.push(start + attached..whole.end);
        }
        within(word, start, depth, ranges);
    }

    /// What a word announces.
    fn after(&self, word: &str, follows: Option<char>) -> Expect {
        if let Some(expect) = self.tool.and_then(|tool| tool.option(word)) {
            return expect;
        }
        if ["-u", "--user"].contains(&word) {
            return Expect::PerhapsLogin;
        }
        if word.eq_ignore_ascii_case("basic") && follows.is_none() {
            return Expect::EncodedLogin;
        }
        if is_scheme(word) && word != "Token" && follows.is_none() {
            return Expect::Value;
        }
        let name = word.trim_start_matches('-');
        match follows {
            // In prose a colon is only a colon: `unexpected token: x`.
            Some(':') if !is_key_before_colon(name) => Expect::Nothing,
            Some(':') if is_header(name) => Expect::Header,
            Some(_) if is_secret_name(name) && is_name(name) => Expect::Value,
            None if name.len() < word.len() && is_secret_option(name) => Expect::Value,
            _ => Expect::Nothing,
        }
    }
}

fn is_value(word: &str) -> bool {
    !word.starts_with('-') && is_secret("SECRET", word)
}

fn is_scheme(word: &str) -> bool {
    ["Bearer", "Basic", "Token", "Digest", "Negotiate", "ApiKey", "bearer", "basic"].contains(&word)
}

/// Where the password begins in `user:password`, unless it is `uid:gid`, `host:port` or a URL.
fn password_of(word: &str) -> Option<usize> {
    let (user, password) = word.split_once(':')?;
    let is_ordinary = user.is_empty() || user.contains(['/', '=']) || password.is_empty() || password.starts_with("//");
    let is_number = password.bytes().all(|byte| byte.is_ascii_digit()) && password.len() < 6;
    let is_own_group = user == password;
    (!is_ordinary && !is_number && !is_own_group && !password.starts_with('$')).then_some(user.len() + 1)
}

/// Whether base64 text holds `user:password`.
fn is_encoded_login(word: &str) -> bool {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let (mut bits, mut held, mut has_colon) = (0_u32, 0, false);
    for byte in word.trim_end_matches('=').bytes() {
        let Some(digit) = digit(byte) else { return false };
        (bits, held) = (bits << 6 | u32::from(digit), held + 6);
        if held >= 8 {
            held -= 8;
            has_colon |= (bits >> held) & 0xff == u32::from(b':');
        }
    }
    has_colon
}

fn is_header(name: &str) -> bool {
    ["authorization", "proxy-authorization"].iter().any(|header| name.eq_ignore_ascii_case(header))
}

fn is_key_before_colon(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_known = ["authorization", "cookie", "passphrase", "password", "passwd", "secret", "dsn", "jwt"];
    is_known.contains(&lower.as_str()) || (is_secret_name(name) && is_name(name) && has_inner_sign(name))
}

/// `X-Api-Key`, `db_token`, `apiKey`: no word of prose.
fn has_inner_sign(name: &str) -> bool {
    name.contains(['-', '_']) || name.chars().skip(1).any(char::is_uppercase)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_letter)
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-.".contains(letter)
}

/// An option whose next word is its secret value.
fn is_secret_option(name: &str) -> bool {
    let is_switch = ["no-", "without-", "with-", "skip-", "disable-", "enable-", "use-", "require-"];
    !name.contains('=')
        && is_name(name)
        && is_secret_name(name)
        && !is_switch.iter().any(|start| name.starts_with(start))
}

/// What stands in one word: an assignment, a header, a URL, a token, a command line in quotes.
fn within(word: &str, start: usize, depth: usize, ranges: &mut Vec<Range<usize>>) {
    if depth > DEPTH_MAX {
        return ranges.push(start..start + word.len()); // nobody writes that by hand
    }
    if let Some((name, value)) = word.split_once('=') {
        // Also behind a path or a bracket: `dir/--token=`, `x[password]=`.
        let option = name.trim_end_matches(']').rsplit(|letter| !is_name_letter(letter)).next().unwrap_or_default();
        let option = option.trim_start_matches('-');
        let at = start + name.len() + 1;
        let quote = value.chars().next().filter(|first| is_quote(*first));
        let is_whole = quote.is_some_and(|quote| value.len() > 1 && value.ends_with(quote));
        let (inner, inner_at) = if is_whole { (&value[1..value.len() - 1], at + 1) } else { (value, at) };
        let is_one_word = is_whole || !value.contains(char::is_whitespace);
        let is_apart = name.contains(char::is_whitespace) || name.contains("://");
        if !is_apart && is_name(option) && is_one_word {
            if is_secret(option, inner) && !inner.is_empty() {
                return ranges.push(inner_at..inner_at + inner.len());
            }
            return within(inner, inner_at, depth + 1, ranges);
        }
    }
    if word.contains(char::is_whitespace) {
        return match word.split_once(':') {
            // A header is secret to its end: `Cookie: a=b; c=d`.
            Some((name, value)) if is_name(name) && is_secret(name, value.trim()) => {
                let blanks = value.len() - value.trim_start().len();
                let scheme = value.trim_start().split_once(' ').filter(|(scheme, _)| is_scheme(scheme));
                let scheme = scheme.map_or(0, |(scheme, _)| scheme.len() + 1);
                ranges.push(start + name.len() + 1 + blanks + scheme..start + word.len());
            }
            _ => in_text(word, start, depth + 1, ranges),
        };
    }
    if let Some(at) = word.find([';', '&']).filter(|_| !word.contains("://")) {
        within(&word[..at], start, depth + 1, ranges);
        return within(&word[at + 1..], start + at + 1, depth.min(DEPTH_MAX - 1), ranges);
    }
    urls(word, start, ranges);
    tokens(word, start, ranges);
}

/// Passwords and secret parameters of the URLs in a word.
fn urls(word: &str, start: usize, ranges: &mut Vec<Range<usize>>) {
    for (at, sign) in word.match_indices("://") {
        let begin = at + sign.len();
        let rest = &word[begin..];
        let rest = &rest[..rest.find(|letter: char| is_quote(letter) || letter == ',').unwrap_or(rest.len())];
        let scheme = &word[..at];
        login(scheme, rest, start + begin, ranges);
        let query = rest.find(['?', '#']).map(|at| at + 1);
        if let Some(query) = query {
            parameters(&rest[query..], start + begin + query, ranges);
        }
        let hooks = ["hooks.slack.com/services/", "discord.com/api/webhooks/", "api.telegram.org/bot"];
        for hook in hooks.iter().filter(|hook| rest.starts_with(**hook)) {
            ranges.push(start + begin + hook.len()..start + begin + rest.len());
        }
    }
}

/// `user:password@`; before a web host a user alone is a token.
fn login(scheme: &str, rest: &str, start: usize, ranges: &mut Vec<Range<usize>>) {
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // A password may hold what ends an authority; then what looks like a port is none.
    let has_port = authority.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    let whole = if authority.contains('@') || has_port { authority } else { rest };
    let Some((login, _)) = whole.rsplit_once('@') else { return };
    match login.split_once(':') {
        Some((_, "")) => {}
        Some((user, _)) => ranges.push(start + user.len() + 1..start + login.len()),
        None if scheme.ends_with("http") || scheme.ends_with("https") => ranges.push(start..start + login.len()),
        None => {}
    }
}

/// `a=b&token=…`.
fn parameters(query: &str, start: usize, ranges: &mut Vec<Range<usize>>) {
    let mut at = start;
    for pair in query.split(['&', ';', '#']) {
        if let Some((name, value)) = pair.split_once('=')
            && is_secret(name, value)
            && !value.is_empty()
        {
            ranges.push(at + name.len() + 1..at + pair.len());
        }
        at += pair.len() + 1;
    }
}

/// Beginnings of tokens whose makers marked them, with the least length of the rest.
const MARKED_TOKENS: &[(&str, usize)] = &[
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("sk_live_", 12),
    ("sk_test_", 12),
    ("rk_live_", 12),
    ("whsec_", 12),
    ("sk-", 20),
    ("xoxb-", 12),
    ("xoxp-", 12),
    ("xapp-", 12),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("npm_", 30),
    ("pypi-", 30),
    ("SG.", 30),
    ("hvs.", 20),
    ("eyJ", 20),
];

/// Tokens that are known by their look.
fn tokens(word: &str, start: usize, ranges: &mut Vec<Range<usize>>) {
    let is_inside = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let mut at = 0;
    while let Some(from) = word[at..].find(is_inside).map(|found| at + found) {
        let end = word[from..].find(|letter| !is_inside(letter)).map_or(word.len(), |found| from + found);
        let token = &word[from..end];
        let is_marked = |(mark, rest): &(&str, usize)| token.len() >= mark.len() + rest && token.starts_with(mark);
        // A JWT has three parts.
        let is_token = |marked: &(&str, usize)| marked.0 != "eyJ" || token.split('.').count() >= 3;
        if MARKED_TOKENS.iter().any(|marked| is_marked(marked) && is_token(marked)) {
            ranges.push(start + from..start + end);
        }
        at = end;
    }
}

/// `-----BEGIN PRIVATE KEY-----` up to its end.
fn keys_in_armour(text: &str, ranges: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(begin) = text[at..].find("-----BEGIN ").map(|found| at + found) {
        let line = text[begin..].lines().next().unwrap_or_default();
        let end = text[begin..].find("-----END ").map_or(text.len(), |found| begin + found);
        let after = text[end..].find(['\n', '"', '\'']).map_or(text.len(), |found| end + found);
        if line.contains("PRIVATE KEY") {
            ranges.push(begin..after.max(begin));
        }
        at = after.max(begin + 1);
    }
}

/// A program that takes a secret under an option whose name does not say so.
struct Tool {
    names: &'static [&'static str],
    /// The next word is the secret.
    secret: &'static [&'static str],
    /// The next word is `user:password`.
    login: &'static [&'static str],
    /// The secret is written without a blank: `-pX`.
    attached: Option<&'static str>,
}

static TOOLS: &[Tool] = &[
    Tool {
        names: &["mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "mariadb-admin"],
        secret: &[],
        login: &[],
        attached: Some("-p"),
    },
    Tool { names: &["sshpass"], secret: &["-p"], login: &[], attached: Some("-p") },
    Tool { names: &["redis-cli", "valkey-cli"], secret: &["-a", "--pass"], login: &[], attached: None },
    Tool { names: &["curl"], secret: &["-b"], login: &["-u", "-U", "--user", "--proxy-user"], attached: Some("-u") },
    Tool {
        names: &[
            "mongo",
            "mongosh",
            "mongodump",
            "mongorestore",
            "mongoexport",
            "mongoimport",
            "influx",
            "rabbitmqadmin",
        ],
        secret: &["-p"],
        login: &[],
        attached: None,
    },
    Tool { names: &["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"], secret: &["-w"], login: &[], attached: None },
    Tool { names: &["sqlcmd", "bcp"], secret: &["-P"], login: &[], attached: Some("-P") },
    Tool { names: &["smbclient"], secret: &[], login: &["-U"], attached: None },
    Tool { names: &["ab"], secret: &[], login: &["-A"], attached: None },
    Tool { names: &["http", "https", "xh"], secret: &[], login: &["-a", "--auth"], attached: None },
    // `docker login -p …`: elsewhere `-p` is a port.
    Tool { names: &["login"], secret: &["-p"], login: &[], attached: None },
];

fn tool(word: &str) -> Option<&'static Tool> {
    let name = word.rsplit('/').next().unwrap_or(word);
    TOOLS.iter().find(|tool| tool.names.contains(&name))
}

impl Tool {
    fn option(&self, word: &str) -> Option<Expect> {
        if self.login.contains(&word) {
            return Some(Expect::Login);
        }
        self.secret.contains(&word).then_some(Expect::Value)
    }

    /// Where in the word an attached secret begins.
    fn attached(&self, word: &str) -> Option<usize> {
        let mark = self.attached?;
        let rest = word.strip_prefix(mark).filter(|rest| !rest.is_empty() && !rest.starts_with('-'))?;
        if self.login.contains(&mark) {
            return rest.find(':').map(|at| mark.len() + at + 1);
        }
        Some(mark.len())
    }
}
