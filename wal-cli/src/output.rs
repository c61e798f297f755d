//! What a command prints: one type for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Failure, Result};

/// What a command has found.
pub(crate) trait Show: Serialize {
    /// The name and version of its JSON.
    const FORMAT: &'static str;

    /// Prints it for people.
    fn show(&self, to: &mut dyn Write) -> io::Result<()>;
}

/// Where it goes.
pub(crate) struct Output {
    /// As JSON.
    pub(crate) json: bool,
    to: io::BufWriter<io::StdoutLock<'static>>,
}

#[derive(Serialize)]
struct Named<'a, T> {
    format: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

impl Output {
    /// Standard output.
    pub(crate) fn new(json: bool) -> Output {
        Output {
            json,
            to: io::BufWriter::new(io::stdout().lock()),
        }
    }

    /// Prints what was found.
    pub(crate) fn show<T: Show>(&mut self, value: &T) -> Result<()> {
        let format = T::FORMAT;
        let printed = match self.json {
            true => serde_json::to_writer_pretty(&mut self.to, &Named { format, value })
                .map_err(io::Error::from)
                .and_then(|()| self.to.write_all(b"\n")),
            false => value.show(&mut self.to),
        };
        printed
            .and_then(|()| self.to.flush())
            .map_err(|source| Failure::Io {
                doing: "printing",
                path: "standard output".into(),
                source,
            })
    }
}

/// Text of a log or of a path for a terminal: control characters are shown and not sent.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        // Those that turn the direction of text around can hide what stands there.
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c.is_control() || turns {
            true => plain.extend(c.escape_unicode()),
            false => plain.push(c),
        }
    }
    plain
}

/// `1 record`, `2 records`, with commas between thousands.
pub(crate) fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", digits(number))
}

/// A number with commas between thousands.
pub(crate) fn digits(number: u64) -> String {
    let plain = number.to_string();
    let mut text = String::with_capacity(plain.len() * 4 / 3);
    for (i, digit) in plain.chars().enumerate() {
        if i > 0 && (plain.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\u{a}");
        assert_eq!(plain("grün"), "grün");
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(digits(0), "0");
        assert_eq!(digits(999), "999");
        assert_eq!(digits(1_000), "1,000");
        assert_eq!(digits(12_345_678), "12,345,678");
        assert_eq!(count(1, "record"), "1 record");
        assert_eq!(count(1_000, "group"), "1,000 groups");
    }
}
