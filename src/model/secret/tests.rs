//! What is hidden, and what stays.

use super::*;

#[test]
fn secrets_are_hidden_wherever_they_stand() {
    // `§` stands around what must be hidden.
    for marked in [
        "postgres://me:§hunter2§@db/shop",
        "http://a/ redis://:§hunter2§@cache:6379",
        "amqp://u:§p/w?x§@host/v",
        "https://§ghp9token§@github.com/x",
        "https://h/p?a=1&token=§abc§&b=2",
        "https://h/p?api_key=§abc§",
        "https://h/p#access_token=§abc§",
        "jdbc:mysql://h/db?user=a&password=§abc§",
        "--password=§hunter2§",
        "--password §hunter2§ --port 80",
        "-password §hunter2§",
        "--api-key '§hun ter2§' x",
        "--token=\"§a b§\" y",
        "DB_PASSWORD=§hunter2§ ./run",
        "export GITHUB_TOKEN=§x1§; go",
        "mysql -u root -p§hunter2§ shop",
        "/usr/bin/mysqldump -p§hunter2§",
        "sshpass -p §hunter2§ ssh host",
        "redis-cli -a §hunter2§ ping",
        "curl -u me:§hunter2§ http://h/",
        "curl -ume:§hunter2§ http://h/",
        "tool -u me:§hunter2§ x",
        "tool --user me:§12345678§ x",
        "Basic §dXNlcjpodW50ZXIy§",
        "basic §dXNlcjpodW50ZXIyMzQ1§",
        "curl --user me:§hunter2§ http://h/",
        "curl -H 'Authorization: Bearer §abc.def§' http://h/",
        "curl -H \"X-Api-Key: §abc§\" http://h/",
        "curl -H \"Cookie: §sid=1; other=2§\" http://h/",
        "docker login -u me -p §hunter2§",
        "sh -c 'deploy --secret §hunter2§ now'",
        "cannot run `deploy --secret §hunter2§`: exit code 1",
        "{\"password\":\"§hunter2§\",\"port\":80}",
        "{ DB_PASS = \"§hunter2§\", B = 1 }",
        "DB_PASS: §hunter2§",
        "  api_token: \"§hunter2§\"",
        "Authorization: Bearer §abc§",
        "password: §hunter2§",
        "args = [\"--password\", \"§hunter2§\", \"x\"]",
        "Server=db;User Id=sa;Password=§hunter2;Timeout=3§",
        "host=db user=me password=§hunter2§",
        "X=eyJhbG.ok y §eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl§",
        "key §AKIAIOSFODNN7EXAMPLE§ found",
        "§-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----§",
        "https://hooks.slack.com/services/§T0/B0/xyz§",
    ] {
        let text = marked.replace('§', "");
        let pieces: Vec<&str> = marked.split('§').collect();
        let expected: String =
            pieces.iter().enumerate().map(|(at, piece)| if at.is_multiple_of(2) { piece } else { HIDDEN }).collect();
        assert_eq!(masked(&text), expected, "{text}");
        assert_eq!(masked(&expected), expected, "what is hidden stays as it is");
    }
}

#[test]
fn names_announce_secrets() {
    for name in [
        "DB_PASS",
        "DB_PASSWORD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "github_token",
        "SECRET",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "API_KEY",
        "apiKey",
        "X-Api-Key",
        "BASIC_AUTH",
        "HTTP_AUTH",
        "REDIS_AUTH",
        "CREDENTIALS",
        "GOOGLE_CREDENTIALS_JSON",
        "JWT",
        "APP_JWT",
        "PASSWORD_SALT",
        "HASHSALT",
        "PRIVATE",
        "SSL_PRIVATE_KEY",
        "WEBHOOK_SIGNATURE",
        "SIGNING_KEY",
        "ERLANG_COOKIE",
        "SESSION_COOKIE",
        "SENTRY_DSN",
        "DATABASE_DSN",
        "AUTHTOKEN",
        "NPM_CONFIG__AUTHTOKEN",
        "Authorization",
        "Set-Cookie",
        "client_secret",
        "CLIENTSECRET",
        "KEYS",
        "TOKENS",
        "API_KEY_2",
        "TOKEN2",
        "SLACK_WEBHOOK_URL",
        "DB_CONNECTION_STRING",
        "ENCRYPTION_KEY",
        "PASSPHRASE",
        "DBPASS",
        "PRIVATE_KEY_PEM",
        "ACCESS_TOKEN_V2",
        "STRIPE_SK",
        "SK_LIVE",
        "SESSION",
        "APP_SESSION",
        "SIGNING",
        "MASTER",
        "PIN",
        "CARD_PIN",
        "PIN_CODE",
    ] {
        assert!(is_secret(name, "x1"), "{name}");
        assert_eq!(masked_value(name, "x1"), HIDDEN);
    }
}

#[test]
fn ordinary_names_and_values_stay() {
    for (name, value) in [
        ("AUTHOR", "me"),
        ("AUTHORS", "me, you"),
        ("AUTHORITY", "example.org"),
        ("KEYBOARD", "de"),
        ("KEYCLOAK_URL", "http://kc:8080/"),
        ("MONKEY", "banana"),
        ("TURKEY_REGION", "x"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("TOKENIZER", "bpe"),
        ("PORT", "8080"),
        ("PATH", "/usr/bin:/bin"),
        ("PWD", "/srv/shop"),
        ("OLDPWD", "/srv"),
        ("HOME", "/home/me"),
        ("LOG_LEVEL", "debug"),
        ("NODE_ENV", "production"),
        ("URL", "http://host/path"),
        ("URL", "http://host:8080/path:x@y"),
        ("DATABASE_URL", "postgres://db:5432/shop"),
        ("DATABASE_URL", "postgres://me@db:5432/shop"),
        ("MAIL", "me:you@example.org"),
        ("PASSENGER_APP_ENV", "production"),
        ("COMPASS", "north"),
        ("BYPASS", "list"),
        ("PASSWORD_FILE", "/run/secrets/db"),
        ("SSL_KEY_FILE", "/etc/ssl/key.pem"),
        ("SSH_AUTH_SOCK", "/tmp/agent.1"),
        ("TOKEN_TTL", "15m"),
        ("JWT_EXPIRES_IN", "7d"),
        ("COOKIE_DOMAIN", "example.org"),
        ("COOKIE_SECURE", "true"),
        ("AUTH_ENABLED", "true"),
        ("USE_TOKEN", "no"),
        ("AUTH_URL", "https://auth.example.org/login"),
        ("JWT_ISSUER", "https://auth.example.org/"),
        ("SORT_KEY", "created"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_x"),
        ("PUBLIC_KEY", "ssh-ed25519"),
        ("OAUTH_CLIENT_ID", "shop"),
        ("BASIC_AUTH_USER", "me"),
        ("PRIVATE_IP", "10.0.0.1"),
        ("PASSWORD_MIN_LENGTH", "12"),
        ("DB_PASSWORD", "${DB_PASSWORD}"),
        ("XAUTHORITY", "/home/me/.Xauthority"),
        ("BASALT", "rock"),
        ("SIGNAL", "TERM"),
        ("PRIVATEER", "ship"),
        ("SESSION_STORE", "redis"),
        ("SESSION_TIMEOUT", "30m"),
        ("MAX_SESSIONS", "10"),
        ("DESKTOP_SESSION", "gnome"),
        ("XDG_SESSION_TYPE", "tty"),
        ("MASTER_HOST", "db1"),
        ("MASTERS", "a, b"),
        ("SPIN", "fast"),
        ("PING", "host"),
        ("TASK", "build"),
        ("DISK", "sda"),
        ("SIGNING_ALGORITHM", "RS256"),
        ("session", "gnome"),
    ] {
        assert_eq!(masked_value(name, value), value, "{name}");
    }
}

#[test]
fn ordinary_texts_stay() {
    for text in [
        "docker run -p 80:80 image",
        "node server.js --port 80 --author me --keyboard de --no-auth x",
        "did you mean `kill_timeout`?",
        "unexpected token: `x`",
        "unknown key `instnaces` in `apps.api`",
        "kill_signal = \"SIGTERM\"",
        "wrong key: it has no value",
        "can't read `/srv/shop/pm.toml`: it's gone",
        "the author's monkey: fine",
        "http://127.0.0.1:8080/health?full=1",
        "ssh -p 22 host",
        "mysql -u root -p shop",
        "curl -u me http://h/",
        "docker run -u 1000:1000 image",
        "run --user www-data:www-data x",
        "tool -u http://host/path",
        "tool -u host:8080",
        "spark --master yarn --session main",
        "invalid basic string, expected `\"`",
        "Basic authentication is needed",
        "restart api/0: exit code 1",
        "npm run build -- --sort-key name",
        "password = \"${DB_PASSWORD}\"",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn words_are_masked_by_the_program_they_are_given_to() {
    let shown = |program, words: &[&str]| masked_words(program, words).join(" ");
    assert_eq!(shown(Some("/usr/bin/mysql"), &["-pX1", "shop"]), "-p(sensitive) shop");
    assert_eq!(shown(Some("server.js"), &["-pX1", "--password", "a b", "-v"]), "-pX1 --password (sensitive) -v");
    assert_eq!(shown(None, &["redis-cli", "-a", "x", "ping"]), "redis-cli -a (sensitive) ping");
    assert_eq!(shown(None, &["sh", "-c", "x --token=1a && y"]), "sh -c x --token=(sensitive) && y");
}

#[test]
fn of_headers_only_the_well_known_are_shown() {
    for (name, value) in [("X-Foo", "abc"), ("Authorization", "Bearer x"), ("x-tenant", "blue"), ("Cookie", "a=b")] {
        assert!(is_secret_header(name, value), "{name}");
    }
    for (name, value) in [
        ("Host", "shop"),
        ("ACCEPT", "*/*"),
        ("user-agent", "probe"),
        ("Content-Type", "text/plain"),
        ("Connection", "close"),
        ("Cache-Control", "no-cache"),
        ("X-Foo", "${FOO}"),
    ] {
        assert!(!is_secret_header(name, value), "{name}");
    }
}

#[test]
fn what_is_known_once_is_hidden_everywhere() {
    let mut secrets = Secrets::default();
    secrets.add_value("DB_PASS", "hunter2");
    secrets.add_value("DB_PASS", "hunter2-and-more");
    secrets.add_value("URL", "redis://:swordfish@h/");
    secrets.add_value("PEM_KEY", "first line\nsecond line");
    secrets.add_value("SHORT_KEY", "abc");
    secrets.add_words(None, &["x", "--password", "correct horse"]);
    assert_eq!(
        secrets.hide("hunter2, hunter2-and-more, swordfish; second line; abc correct horse"),
        "(sensitive), (sensitive), (sensitive); (sensitive); abc (sensitive)"
    );
}

#[test]
fn any_text_can_be_looked_at() {
    use proptest::prelude::*;
    let any = proptest::collection::vec(
        prop_oneof![
            Just("password".to_owned()),
            Just("=".to_owned()),
            Just(": ".to_owned()),
            Just("\"".to_owned()),
            Just("'".to_owned()),
            Just("://".to_owned()),
            Just("@".to_owned()),
            Just("-----BEGIN ".to_owned()),
            Just("PRIVATE KEY".to_owned()),
            Just("-----END ".to_owned()),
            Just("é".to_owned()),
            Just("\\".to_owned()),
            Just("?token=".to_owned()),
            Just(" ".to_owned()),
            Just("mysql".to_owned()),
            Just("-p".to_owned()),
            ".{0,3}",
        ],
        0..24,
    );
    proptest!(|(pieces in any)| {
        let text = pieces.concat();
        let ranges = secret_ranges(&text);
        for range in &ranges {
            prop_assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
        }
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    });
}

/// The short way for names and paths finds what the long one finds.
#[test]
fn a_plain_word_is_read_as_every_text_is() {
    use proptest::prelude::*;
    let marks = ["", "ghp_", "sk-", "eyJ", "AKIA", "-p", "mysql", "Bearer", "--token", "SG."];
    let piece = (proptest::sample::select(marks.to_vec()), "[a-zA-Z0-9._/-]{0,40}");
    proptest!(|(pieces in proptest::collection::vec(piece, 0..4))| {
        let whole = pieces.into_iter().map(|(mark, rest)| mark.to_owned() + &rest).collect::<String>();
        prop_assert_eq!(secret_ranges(&whole), text::ranges_of_sentence(&whole), "{}", whole);
    });
}
