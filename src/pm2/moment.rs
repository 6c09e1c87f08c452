//! PM2's patterns of times (those of day.js) → those of `strftime`.

/// The pattern in the words of `strftime`; the part that has no counterpart comes back.
pub(super) fn to_strftime(pattern: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some((literal, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            out.push_str(&literal.replace('%', "%%"));
            rest = after;
            continue;
        }
        let longest = match first {
            'Y' | 'M' | 'd' => 4,
            'S' => 3,
            'D' | 'H' | 'h' | 'm' | 's' | 'Z' => 2,
            'A' | 'a' => 1,
            _ => {
                out.push_str(&first.to_string().replace('%', "%%"));
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        let length = rest.chars().take_while(|letter| *letter == first).count().min(longest);
        let (token, after) = rest.split_at(length);
        out.push_str(counterpart(token).ok_or(token)?);
        rest = after;
    }
    Ok(out)
}

fn counterpart(token: &str) -> Option<&'static str> {
    Some(match token {
        "YYYY" => "%Y",
        "YY" => "%y",
        "MMMM" => "%B",
        "MMM" => "%b",
        "MM" => "%m",
        "M" => "%-m",
        "DD" => "%d",
        "D" => "%-d",
        "dddd" => "%A",
        "ddd" => "%a",
        "d" => "%w",
        "HH" => "%H",
        "H" => "%-H",
        "hh" => "%I",
        "h" => "%-I",
        "mm" => "%M",
        "m" => "%-M",
        "ss" => "%S",
        "s" => "%-S",
        "SSS" => "%3f",
        "Z" => "%:z",
        "ZZ" => "%z",
        "A" => "%p",
        "a" => "%P",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_real_files_have_counterparts() {
        for (given, expected) in [
            ("YYYY-MM-DD HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
            ("YYYY-MM-DDTHH:mm:ss", "%Y-%m-%dT%H:%M:%S"),
            ("YYYY-MM-DD HH:mm:ss.SSS Z", "%Y-%m-%d %H:%M:%S.%3f %:z"),
            ("YYYY-MM-DD HH:mm Z", "%Y-%m-%d %H:%M %:z"),
            ("[100%] ddd D MMM, h:m A", "100%% %a %-d %b, %-I:%-M %p"),
            ("MM/DD/YY 50%", "%m/%d/%y 50%%"),
        ] {
            assert_eq!(to_strftime(given).as_deref(), Ok(expected), "{given}");
        }
        for (given, token) in [("YYY", "YYY"), ("HH:mm:ss SS", "SS"), ("dd", "dd")] {
            assert_eq!(to_strftime(given), Err(token.to_owned()), "{given}");
        }
    }
}
