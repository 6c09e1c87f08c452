//! Names that announce a secret, and those that only look so.

/// Words of a name (between `_`, `-`, `.`, or a change of case) that announce a secret.
const SECRET_WORDS: &[&str] = &[
    "APIKEY",
    "AUTH",
    "AUTHORIZATION",
    "BEARER",
    "CONNSTR",
    "COOKIE",
    "CRED",
    "CREDENTIAL",
    "DSN",
    "HMAC",
    "JWT",
    "KEY",
    "MNEMONIC",
    "OTP",
    "PASS",
    "PASSCODE",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PEPPER",
    "PRIVATE",
    "PSK",
    "PW",
    "PWD",
    "SALT",
    "SECRET",
    "SIG",
    "SIGNATURE",
    "TOKEN",
];

/// The same, but only as a whole word of a name in capitals: as an option or in prose they are ordinary.
const SECRET_VARIABLES: &[&str] = &["PIN", "SK"];

/// The same as the last word: `MASTER`, and not `MASTER_HOST`.
const LAST_SECRET_VARIABLES: &[&str] = &["MASTER", "PIN", "SESSION", "SIGNING", "SK"];

/// Headers whose values are shown. What stands in any other may be a key under a name that nobody else knows.
const ORDINARY_HEADERS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "if-modified-since",
    "origin",
    "pragma",
    "range",
    "te",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-requested-with",
];

/// Ends of words that are written without a separator: `PGPASSWORD`, `AUTHTOKEN`.
const SECRET_ENDS: &[&str] = &[
    "ACCESSKEY",
    "ACCOUNTKEY",
    "APIKEY",
    "AUTH",
    "AUTHKEY",
    "COOKIE",
    "DSN",
    "ENCRYPTIONKEY",
    "JWT",
    "LICENSEKEY",
    "MASTERKEY",
    "PASS",
    "PRIVATEKEY",
    "PWD",
    "SALT",
    "SECRETKEY",
    "SHAREDKEY",
    "SIGNATURE",
    "SIGNINGKEY",
    "TOKEN",
];

/// Wherever they stand in a word.
const SECRET_PARTS: &[&str] = &["CREDENTIAL", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET"];

/// Words that end like a secret and are none.
const ORDINARY_WORDS: &[&str] =
    &["BASALT", "BYPASS", "COMPASS", "ENCOMPASS", "OVERPASS", "SECRETARY", "SURPASS", "TRESPASS", "UNDERPASS"];

/// Whole names that are ordinary whatever their words.
const ORDINARY_NAMES: &[&str] = &["PWD", "OLDPWD", "DESKTOP_SESSION"];

/// With one of these a `KEY` is no secret.
const PUBLIC_KEYS: &[&str] =
    &["CACHE", "FOREIGN", "GROUP", "INDEX", "PARTITION", "PRIMARY", "PUBLIC", "PUBLISHABLE", "ROUTING", "SORT"];

/// As the last word: the name tells something about a secret, and not the secret.
const ABOUT_IT: &[&str] = &[
    "ADDR",
    "ADDRESS",
    "ALG",
    "ALGORITHM",
    "AUDIENCE",
    "BACKEND",
    "CIDR",
    "CURVE",
    "DOMAIN",
    "DRIVER",
    "ENDPOINT",
    "ENV",
    "FORMAT",
    "HOST",
    "HOSTNAME",
    "IP",
    "ISSUER",
    "LOGIN",
    "METHOD",
    "MODE",
    "NAME",
    "NETWORK",
    "PLUGIN",
    "PREFIX",
    "PROVIDER",
    "REALM",
    "SAMESITE",
    "SCHEME",
    "SERVER",
    "SERVICE",
    "STDIN",
    "STRATEGY",
    "SUBNET",
    "TYPE",
    "URI",
    "URL",
    "USER",
    "USERNAME",
];

/// As the last word, before a path.
const PLACES: &[&str] = &["DIR", "DIRECTORY", "FILE", "FOLDER", "PATH", "SOCK", "SOCKET", "STORE"];

/// As the last word, before a number or a duration.
const AMOUNTS: &[&str] = &[
    "AGE",
    "ATTEMPTS",
    "COST",
    "COUNT",
    "DAYS",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "HOURS",
    "IN",
    "INTERVAL",
    "LEN",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "MAX",
    "MIN",
    "MINUTES",
    "PORT",
    "RETRIES",
    "ROUNDS",
    "SECONDS",
    "SIZE",
    "TIMEOUT",
    "TTL",
    "VERSION",
];

/// Before `ID` as the last word: who it is, and not how that is proven.
const IDENTITIES: &[&str] = &["ACCOUNT", "APP", "APPLICATION", "CLIENT", "PROJECT", "REALM", "TENANT", "USER"];

/// Longest number or duration.
const AMOUNT_BYTES_MAX: usize = 12;

/// Whether the variable, header, parameter or option `name` with this `value` must not be shown.
pub fn is_secret(name: &str, value: &str) -> bool {
    let words = words_of(name);
    if !has_secret_word(name, &words) || is_switch(value) || is_reference(value) {
        return false;
    }
    let last = words.last().map(String::as_str).unwrap_or_default();
    let is_path = || value.starts_with(['/', '~']) || value.starts_with("./") || value.starts_with("../");
    let is_amount = || value.len() <= AMOUNT_BYTES_MAX && value.starts_with(|first: char| first.is_ascii_digit());
    !((PLACES.contains(&last) && is_path()) || (AMOUNTS.contains(&last) && is_amount()))
}

/// Whether the value of a header must not be shown.
pub fn is_secret_header(name: &str, value: &str) -> bool {
    let is_ordinary = ORDINARY_HEADERS.iter().any(|ordinary| name.trim().eq_ignore_ascii_case(ordinary));
    !value.is_empty() && !is_ordinary && !is_reference(value)
}

/// Whether a name announces a secret, whatever its value.
pub fn is_secret_name(name: &str) -> bool {
    has_secret_word(name, &words_of(name))
}

fn has_secret_word(name: &str, words: &[String]) -> bool {
    if ORDINARY_NAMES.contains(&name) {
        return false;
    }
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let is_webhook = has(&["WEBHOOK"]) && has(&["URL", "URI"]);
    let is_connection = words.windows(2).any(|pair| pair[0] == "CONNECTION" && pair[1] == "STRING");
    if is_webhook || is_connection || is_secret_variable(name, words) {
        return true;
    }
    let is_public_key = has(PUBLIC_KEYS);
    let is_counted = |word: &str| is_secret_word(word) && !(is_public_key && word == "KEY");
    words.iter().any(|word| is_counted(word)) && !is_about_it(words)
}

fn is_secret_variable(name: &str, words: &[String]) -> bool {
    let has_word = || words.iter().any(|word| SECRET_VARIABLES.contains(&word.as_str()));
    let has_last = || words.last().is_some_and(|word| LAST_SECRET_VARIABLES.contains(&word.as_str()));
    !name.contains(char::is_lowercase) && (has_last() || has_word()) && !is_about_it(words)
}

fn is_about_it(words: &[String]) -> bool {
    match words {
        [.., whose, last] if last == "ID" => IDENTITIES.contains(&whose.as_str()),
        [_, .., last] => ABOUT_IT.contains(&last.as_str()),
        _ => false,
    }
}

fn is_secret_word(word: &str) -> bool {
    let is_one = |word: &str| {
        let is_ordinary = ORDINARY_WORDS.contains(&word);
        let has_end = || SECRET_ENDS.iter().any(|end| word.ends_with(end));
        let has_part = || SECRET_PARTS.iter().any(|part| word.contains(part));
        !is_ordinary && (SECRET_WORDS.contains(&word) || has_end() || has_part())
    };
    is_one(word) || word.strip_suffix('S').is_some_and(is_one)
}

/// `true`, `0`, `off`: says whether, and never what.
fn is_switch(value: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "0", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// `$NAME`, `${NAME}`: where the value comes from. With a default it may hold one.
fn is_reference(value: &str) -> bool {
    let name = value.strip_prefix('$').map(|rest| rest.trim_start_matches('$'));
    let name = name.map(|rest| rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest));
    let is_name_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.is_some_and(|name| !name.is_empty() && name.chars().all(is_name_letter))
}

/// `dbAuth_token2` → `DB`, `AUTH`, `TOKEN`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = at.checked_sub(1).map(|before| letters[before]);
        let is_after_small = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit());
        let is_before_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let is_after_capital = before.is_some_and(char::is_uppercase);
        if letter.is_uppercase() && (is_after_small || (is_after_capital && is_before_small)) {
            words.push(std::mem::take(&mut word));
        }
        word.extend(letter.to_uppercase());
    }
    words.push(word);
    let trimmed = words.into_iter().map(|word| word.trim_end_matches(|last: char| last.is_ascii_digit()).to_owned());
    trimmed.filter(|word| !word.is_empty()).collect()
}
