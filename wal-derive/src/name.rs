//! Names and the ids made from them.

/// What is wrong with a name, if anything.
pub(crate) fn problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name must not be empty".to_owned());
    }
    let bad = name
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-'))?;
    Some(format!(
        "a name is made of `a-z`, `0-9`, `_`, `.` and `-`, and {bad:?} is none of them"
    ))
}

/// `HTTPRequestSent2` is `http_request_sent2`. Names are stored, so this must never change.
pub(crate) fn snake_case(ident: &str) -> String {
    let chars: Vec<char> = ident.chars().collect();
    let mut snake = String::with_capacity(ident.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        let follows_word = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
        let ends_acronym =
            i > 0 && chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (follows_word || ends_acronym) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// FNV-1a, 32 bits, as `wal-db` computes it. Only collisions are found with it; the ids in the generated code
/// come from `wal-db` itself.
pub(crate) fn type_id(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_of_variants() {
        let cases = [
            ("Opened", "opened"),
            ("NameChanged", "name_changed"),
            ("HTTPRequestSent2", "http_request_sent2"),
            ("V2Added", "v2_added"),
            ("A", "a"),
            ("AB", "ab"),
            ("already_snake", "already_snake"),
            ("SCREAMING_CASE", "screaming_case"),
        ];
        for (ident, expected) in cases {
            assert_eq!(snake_case(ident), expected);
        }
    }

    #[test]
    fn names() {
        for good in ["bank", "a.b-c_d.9", "-", "0"] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in ["", "Bank", "a b", "é", "a/b"] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn ids_are_the_published_fnv_1a_vectors() {
        assert_eq!(type_id(""), 0x811c_9dc5);
        assert_eq!(type_id("foobar"), 0xbf9c_f968);
    }
}
