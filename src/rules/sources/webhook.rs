//! Webhooks: whether a call comes from the server of a repository, and whether it is about the branch that is followed.
//!
//! | server | proof |
//! | --- | --- |
//! | GitHub | `X-Hub-Signature-256: sha256=HEX`, the HMAC-SHA256 of the body |
//! | Gitea, Forgejo, Gogs | `X-Gitea-Signature`, `X-Forgejo-Signature`, `X-Gogs-Signature`: the same, digits only |
//! | Bitbucket | `X-Hub-Signature: sha256=HEX` |
//! | GitLab | `X-Gitlab-Token`, the secret itself |
//! | anything else | `X-Signature-256` or `X-Signature`, with `sha256=` before the digits or without |

use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use crate::model::WebhookSecret;

/// Proofs of one call that are looked at; more are of no server.
const PROOFS_MAX: usize = 8;
/// Bytes of an HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;
/// What is compared with for a source that there is not: such a call takes as long as any other.
const NOBODYS: &str = "a source that there is not";

/// Checks one call while its body comes in.
#[derive(Clone)]
pub struct WebhookCheck {
    body: Hmac<Sha256>,
    /// Keyed by the secret, too: tokens are compared by what it makes of them.
    token: Hmac<Sha256>,
    secret: String,
    proofs: Vec<WebhookProof>,
}

#[derive(Clone)]
enum WebhookProof {
    /// The HMAC of the body.
    Signature([u8; SIGNATURE_BYTES]),
    /// The secret itself.
    Token(Vec<u8>),
}

impl WebhookCheck {
    /// For a call with these headers (names in small letters). `None`: there is no such source, and nothing proves anything.
    pub fn new<'a>(secret: Option<&WebhookSecret>, headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let proofs = headers.filter_map(|(name, value)| proof(name, value)).take(PROOFS_MAX);
        let proofs = if secret.is_some() { proofs.collect() } else { Vec::new() };
        let secret = secret.map_or(NOBODYS, WebhookSecret::as_secret_str);
        let keyed = keyed(secret);
        Self { body: keyed.clone(), token: keyed, secret: secret.to_owned(), proofs }
    }

    /// Takes the next bytes of the body.
    pub fn take(&mut self, bytes: &[u8]) {
        self.body.update(bytes);
    }

    /// Whether one of its proofs fits. Takes the same time wherever a wrong one differs.
    pub fn is_proved(self) -> bool {
        let Self { body, token, secret, proofs } = self;
        proofs.iter().any(|proof| match proof {
            WebhookProof::Signature(signature) => body.clone().verify_slice(signature).is_ok(),
            WebhookProof::Token(given) => {
                let own = token.clone().chain_update(secret.as_bytes()).finalize().into_bytes();
                token.clone().chain_update(given).verify(&own).is_ok()
            }
        })
    }
}

/// A key of any length is one.
fn keyed(secret: &str) -> Hmac<Sha256> {
    match Hmac::new_from_slice(secret.as_bytes()) {
        Ok(keyed) => keyed,
        Err(_) => Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()),
    }
}

fn proof(name: &str, value: &[u8]) -> Option<WebhookProof> {
    let prefixed = || value.strip_prefix(b"sha256=").and_then(digits);
    let signature = match name {
        "x-gitlab-token" => return Some(WebhookProof::Token(value.to_vec())),
        "x-hub-signature-256" | "x-hub-signature" => prefixed(),
        "x-gitea-signature" | "x-forgejo-signature" | "x-gogs-signature" => digits(value),
        "x-signature-256" | "x-signature" => prefixed().or_else(|| digits(value)),
        _ => None,
    };
    signature.map(WebhookProof::Signature)
}

/// 64 hexadecimal digits.
fn digits(text: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut bytes = [0; SIGNATURE_BYTES];
    if text.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(*pair.first()?)? << 4 | digit(*pair.last()?)?;
    }
    Some(bytes)
}

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    name: String,
}

/// The branch that a call says something was pushed to; `None`: it says nothing about one branch. JSON, or a form with JSON in
/// its field `payload`, as GitHub offers.
pub fn pushed_branch(body: &[u8], is_form: bool) -> Option<String> {
    let push: Push = if is_form {
        let field = body.split(|byte| *byte == b'&').find_map(|field| field.strip_prefix(b"payload="))?;
        serde_json::from_slice(&decoded(field)).ok()?
    } else {
        serde_json::from_slice(body).ok()?
    };
    push.name.strip_prefix("refs/heads/").map(str::to_owned)
}

/// The value of a form field. What is no escape stays as it is.
fn decoded(field: &[u8]) -> Vec<u8> {
    let digit = |letter: Option<&u8>| letter.and_then(|letter| char::from(*letter).to_digit(16));
    let (mut bytes, mut at) = (Vec::with_capacity(field.len()), 0);
    while let Some(byte) = field.get(at) {
        let escape = digit(field.get(at + 1)).zip(digit(field.get(at + 2))).filter(|_| *byte == b'%');
        if let Some(escaped) = escape.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            bytes.push(escaped);
            at += 3;
        } else {
            bytes.push(if *byte == b'+' { b' ' } else { *byte });
            at += 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_proved(secret: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
        let secret = WebhookSecret::new(secret).unwrap();
        let headers = || headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let mut check = WebhookCheck::new(Some(&secret), headers());
        check.take(body);
        // In pieces it is the same, and without a source it is never proved.
        let (mut pieces, mut nobodys) =
            (WebhookCheck::new(Some(&secret), headers()), WebhookCheck::new(None, headers()));
        for byte in body {
            pieces.take(&[*byte]);
            nobodys.take(&[*byte]);
        }
        let is_proved = check.is_proved();
        assert!(pieces.is_proved() == is_proved && !nobodys.is_proved());
        is_proved
    }

    /// GitHub's documentation, "Testing the webhook payload validation".
    const GITHUB: (&str, &str, &str) = (
        "It's a Secret to Everybody",
        "Hello, World!",
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    );

    #[test]
    fn every_server_proves_itself_in_its_own_way() {
        let (secret, body, digits) = GITHUB;
        let (prefixed, large) = (format!("sha256={digits}"), digits.to_uppercase());
        for (name, value) in [
            ("x-hub-signature-256", prefixed.as_str()),
            ("x-hub-signature", &prefixed),
            ("x-gitea-signature", digits),
            ("x-forgejo-signature", digits),
            ("x-gogs-signature", digits),
            ("x-signature-256", &prefixed),
            ("x-signature-256", digits),
            ("x-signature", digits),
            ("x-signature", &large),
            ("x-gitlab-token", secret),
        ] {
            assert!(is_proved(secret, &[(name, value)], body.as_bytes()), "{name}: {value}");
            assert!(
                !is_proved("It's a Secret to Nobody!!", &[(name, value)], body.as_bytes()),
                "{name}: another secret"
            );
        }
        // Gitea sends several; one that fits is enough, whatever stands beside it.
        let headers =
            [("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"), ("x-gitea-signature", digits)];
        assert!(is_proved(secret, &headers, body.as_bytes()));
    }

    #[test]
    fn hmac_is_that_of_the_standard() {
        // RFC 4231, cases 1, 2, 4, 6 and 7; keys of 16 bytes and more that are text stand for all in `is_proved`.
        let cases: [(&[u8], &[u8], &str); 5] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                &[
                    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                ],
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, body, expected) in cases {
            let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(body);
            assert!(mac.verify_slice(&digits(expected.as_bytes()).unwrap()).is_ok(), "{expected}");
        }
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let (secret, body, digits) = GITHUB;
        let other = digits.replacen('7', "8", 1);
        for (name, value) in [
            ("x-hub-signature-256", digits),
            ("x-hub-signature-256", &format!("sha256={other}")),
            ("x-hub-signature-256", &format!("sha1={digits}")),
            ("x-hub-signature-256", &format!("sha256={}", &digits[..62])),
            ("x-hub-signature-256", &format!("sha256={digits}00")),
            ("x-hub-signature-256", "sha256="),
            ("x-hub-signature-256", ""),
            ("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"),
            ("x-gitea-signature", &format!("sha256={digits}")),
            ("x-gitea-signature", &"zz".repeat(32)),
            ("x-gitlab-token", ""),
            ("x-gitlab-token", &secret[..secret.len() - 1]),
            ("x-gitlab-token", &format!("{secret} ")),
            ("x-gitlab-token", digits),
            ("authorization", secret),
            ("x-unknown", digits),
        ] {
            assert!(!is_proved(secret, &[(name, value)], body.as_bytes()), "{name}: {value}");
        }
        assert!(!is_proved(secret, &[], body.as_bytes()), "no header at all");
        let signature = format!("sha256={digits}");
        assert!(!is_proved(secret, &[("x-hub-signature-256", &signature)], b"Hello, World?"), "another body");
        // Nobody gets through by many guesses in one call.
        let mut many = vec![("x-gitea-signature", other.as_str()); PROOFS_MAX];
        many.push(("x-hub-signature-256", &signature));
        assert!(!is_proved(secret, &many, body.as_bytes()));
    }

    #[test]
    fn the_branch_is_read_where_it_is_said() {
        let deep = "[".repeat(100_000);
        for (body, branch) in [
            (r#"{"ref":"refs/heads/main","before":"00"}"#, Some("main")),
            (r#"{"object_kind":"push","ref":"refs/heads/feature/x"}"#, Some("feature/x")),
            (r#"{"ref":"refs/tags/v1"}"#, None),
            (r#"{"ref":7}"#, None),
            (r#"{"zen":"Keep it logically awesome."}"#, None),
            (r#"{"ref":"refs/heads/main""#, None),
            ("", None),
            ("\u{0}\u{1}", None),
            (deep.as_str(), None),
        ] {
            assert_eq!(pushed_branch(body.as_bytes(), false).as_deref(), branch, "{body:.60}");
        }
        let form = b"a=b&payload=%7B%22ref%22%3A%22refs%2Fheads%2Fma+in%22%7D&c=%";
        assert_eq!(pushed_branch(form, true).as_deref(), Some("ma in"));
        for wrong in [&b"payload=%7B%2"[..], b"payload=%zz%", b"", b"payload"] {
            assert_eq!(pushed_branch(wrong, true), None);
        }
    }
}
