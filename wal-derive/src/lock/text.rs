//! The text of `wal.lock`: lines, and the top level of a shape. The grammar of shapes is in `wal-db`, which parses them
//! in full; here a shape is only split into its fields, whose texts are compared as they stand.

use crate::name;

/// A line that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its number in the file, from 1.
    pub number: usize,
    pub name: &'a str,
    pub version: u16,
    /// A chosen id.
    pub id: Option<u32>,
    pub shape: &'a str,
    pub contents: Contents<'a>,
}

/// A line that cannot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine<'a> {
    pub number: usize,
    /// The name in front, if it is one.
    pub name: Option<&'a str>,
    pub problem: String,
}

/// The top level of a shape.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Contents<'a> {
    Tuple(Vec<&'a str>),
    Struct(Vec<(String, &'a str)>),
    /// Everything that has no fields of its own: `unit`, and what a newtype can hold besides the others.
    Whole,
}

impl Line<'_> {
    pub(super) fn type_id(&self) -> u32 {
        self.id.unwrap_or_else(|| name::type_id(self.name))
    }
}

/// Reads all lines but comments and blank ones.
pub(super) fn lines(text: &str) -> (Vec<Line<'_>>, Vec<BadLine<'_>>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (i, text) in text.lines().enumerate() {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let number = i + 1;
        match line(number, text) {
            Ok(line) => good.push(line),
            Err(problem) => {
                let first = text.split(' ').next();
                bad.push(BadLine {
                    number,
                    name: first.filter(|first| name::problem(first).is_none()),
                    problem,
                });
            }
        }
    }
    (good, bad)
}

fn line(number: usize, text: &str) -> Result<Line<'_>, String> {
    let mut words = text.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    if let Some(problem) = name::problem(name) {
        return Err(problem);
    }
    let version = words
        .next()
        .and_then(decimal::<u16>)
        .filter(|&version| version > 0)
        .ok_or("a version from 1 to 65535 stands behind the name")?;
    let mut shape = words.next().ok_or("a shape stands behind the version")?;
    let mut id = None;
    if let Some(rest) = shape.strip_prefix("id=") {
        let (number, rest) = rest.split_once(' ').ok_or("a shape stands behind the id")?;
        id = Some(decimal::<u32>(number).ok_or("an id is a number from 0 to 4294967295")?);
        shape = rest;
    }
    let contents = contents(shape).ok_or_else(|| format!("`{shape}` is no shape"))?;
    Ok(Line {
        number,
        name,
        version,
        id,
        shape,
        contents,
    })
}

/// Digits only: `parse` also takes a sign.
fn decimal<N: std::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// Splits a shape at its top level; nothing if its brackets and quotes do not match.
fn contents(shape: &str) -> Option<Contents<'_>> {
    let body = match shape.strip_prefix("rec ") {
        Some(rest) => {
            let (_, body) = split_name(rest)?;
            body.strip_prefix(' ')?
        }
        None => shape,
    };
    if end(body)? != body.len() {
        return None;
    }
    let inside = |open, close| body.strip_prefix(open)?.strip_suffix(close);
    if let Some(fields) = inside('{', '}') {
        let fields = items(fields)?.into_iter().map(|field| {
            let (name, shape) = split_name(field)?;
            Some((name, shape.strip_prefix(": ")?))
        });
        return Some(Contents::Struct(fields.collect::<Option<_>>()?));
    }
    if let Some(fields) = inside('(', ')') {
        return Some(Contents::Tuple(items(
            fields.strip_suffix(',').unwrap_or(fields),
        )?));
    }
    Some(Contents::Whole)
}

/// What stands between commas at the top level.
fn items(text: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = end(rest)?;
        items.push(&rest[..end]);
        rest = &rest[end..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(", ").filter(|rest| !rest.is_empty())?;
        }
    }
    Some(items)
}

/// Where the first item ends: at a comma outside of all brackets and quotes, or at the end of the text.
fn end(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            '<' => open.push('>'),
            ')' | ']' | '}' | '>' if open.pop() != Some(c) => return None,
            '"' => loop {
                match chars.next()?.1 {
                    '"' => break,
                    '\\' => drop(chars.next()?),
                    _ => {}
                }
            },
            ',' if open.is_empty() => return (at > 0).then_some(at),
            _ => {}
        }
    }
    (open.is_empty() && !text.is_empty()).then_some(text.len())
}

/// A name, plain or in quotes, and what follows it.
fn split_name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((name, &quoted[at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => name.push('\n'),
                c => name.push(c),
            },
            (_, c) => name.push(c),
        }
    }
}

/// FNV-1a, 64 bits: what `wal_db::Schema::fingerprint` makes of the same text.
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Line<'_> {
        line(1, text).expect("the line is one")
    }

    #[test]
    fn a_line_has_a_name_a_version_perhaps_an_id_and_a_shape() {
        let text = "# released\n\nbank.opened 2 {id: u64, currency: str}\nbank.closed 1 id=7 u64\n";
        let (good, bad) = lines(text);
        assert_eq!(bad, []);
        let [opened, closed] = &good[..] else {
            panic!("{good:?}")
        };
        assert_eq!(
            (opened.number, opened.name, opened.version, opened.id),
            (3, "bank.opened", 2, None)
        );
        assert_eq!(
            opened.contents,
            Contents::Struct(vec![("id".into(), "u64"), ("currency".into(), "str")])
        );
        assert_eq!((closed.type_id(), closed.shape), (7, "u64"));
        assert_eq!(closed.contents, Contents::Whole);
        assert_eq!(opened.type_id(), name::type_id("bank.opened"));
    }

    #[test]
    fn shapes_are_split_at_the_top_level_only() {
        assert_eq!(
            one("a 1 (map<str, (u8, u8)>, [u8; 4], enum {A, B(u8, u8)})").contents,
            Contents::Tuple(vec!["map<str, (u8, u8)>", "[u8; 4]", "enum {A, B(u8, u8)}"])
        );
        assert_eq!(one("a 1 ()").contents, Contents::Tuple(vec![]));
        assert_eq!(one("a 1 ((u8, u8),)").contents, Contents::Tuple(vec!["(u8, u8)"]));
        assert_eq!(one("a 1 {}").contents, Contents::Struct(vec![]));
        assert_eq!(
            one(r#"a 1 {"odd, \"name\"": opaque "a}, b\\", b: u8}"#).contents,
            Contents::Struct(vec![
                (r#"odd, "name""#.into(), r#"opaque "a}, b\\""#),
                ("b".into(), "u8")
            ])
        );
        assert_eq!(
            one("a 1 rec Node {next: option<@Node>}").contents,
            Contents::Struct(vec![("next".into(), "option<@Node>")])
        );
        for whole in ["unit", "option<{a: u8}>", "enum {A, B {c: u8}}"] {
            assert_eq!(one(&format!("a 1 {whole}")).contents, Contents::Whole, "{whole}");
        }
    }

    #[test]
    fn other_lines_are_refused_with_their_number() {
        let cases = [
            ("Bank 1 u8", "'B'"),
            ("bank", "a version"),
            ("bank 0 u8", "a version"),
            ("bank +1 u8", "a version"),
            ("bank 01 u8", "a version"),
            ("bank 65536 u8", "a version"),
            ("bank 1", "a shape"),
            ("bank 1 id=7", "a shape stands behind the id"),
            ("bank 1 id=x u8", "an id"),
            ("bank 1 {a: u8", "is no shape"),
            ("bank 1 {a: u8}}", "is no shape"),
            ("bank 1 {a u8}", "is no shape"),
            ("bank 1 {a: u8, }", "is no shape"),
            ("bank 1 (u8, [u8)]", "is no shape"),
            ("bank 1 u8, u8", "is no shape"),
            ("bank 1 opaque \"a", "is no shape"),
            ("bank 1 ", "is no shape"),
        ];
        for (text, problem) in cases {
            let with_comment = format!("# one\n{text}");
            let (good, bad) = lines(&with_comment);
            assert!(good.is_empty(), "{text}: {good:?}");
            assert_eq!(bad[0].number, 2, "{text}");
            assert!(bad[0].problem.contains(problem), "{text}: {}", bad[0].problem);
        }
        assert_eq!(lines("bank x").1[0].name, Some("bank"));
        assert_eq!(lines("<<<<<<< ours").1[0].name, None);
    }

    #[test]
    fn fingerprints_are_the_published_fnv_1a_vectors() {
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint("foobar"), 0x8594_4171_f739_67e8);
    }
}
