//! Names of event types and the ids made from them.

/// What is wrong with a name, if anything.
#[must_use]
pub fn name_problem(name: &str) -> Option<String> {
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

/// The id of a full name: FNV-1a, 32 bits, over its UTF-8 bytes.
#[must_use]
pub const fn type_id(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["bank", "a.b-c_d.9", "-", "0"] {
            assert_eq!(name_problem(good), None, "{good}");
        }
        for bad in ["", "Bank", "a b", "é", "a/b"] {
            assert!(name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn ids_are_the_published_fnv_1a_vectors() {
        assert_eq!(type_id(""), 0x811c_9dc5);
        assert_eq!(type_id("a"), 0xe40c_292c);
        assert_eq!(type_id("foobar"), 0xbf9c_f968);
    }
}
