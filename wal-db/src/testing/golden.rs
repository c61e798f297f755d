//! Bytes that were written when a version was current.

use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::{CheckFailed, hex, history::sentence};
use crate::event::{
    WalDecodeOwned,
    codec::{Codec, DefaultCodec},
    probe,
};

const BYTES_IN_LINE: usize = 32;

/// What happens if there are no bytes yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoldenMode {
    /// That is reported.
    Check,
    /// They are made of the value. Those that are there are never overwritten.
    New,
}

impl GoldenMode {
    /// What the environment variable `WAL_GOLDEN` says: `new`, or to check.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var_os("WAL_GOLDEN") {
            Some(value) if value == "new" => GoldenMode::New,
            _ => GoldenMode::Check,
        }
    }
}

/// Reads the record in `dir/golden/name.hex` and compares it with `value`.
///
/// [`golden!`](super::golden!) calls it and has an example.
///
/// # Errors
/// [`CheckFailed`]: there is no such file, it is not a record in hexadecimal digits, the record cannot be read, or it
/// is another event than `value`.
pub fn golden<T>(dir: &Path, name: &str, value: &T, mode: GoldenMode) -> Result<(), CheckFailed>
where
    T: WalDecodeOwned + PartialEq + Debug,
{
    golden_with_codec::<T, DefaultCodec>(dir, name, value, mode)
}

/// As [`golden`], for a record in the format `C`.
pub fn golden_with_codec<T, C>(dir: &Path, name: &str, value: &T, mode: GoldenMode) -> Result<(), CheckFailed>
where
    T: WalDecodeOwned + PartialEq + Debug,
    C: Codec,
{
    check::<T, C>(dir, name, value, mode).map_err(CheckFailed::one)
}

fn check<T, C>(dir: &Path, name: &str, value: &T, mode: GoldenMode) -> Result<(), String>
where
    T: WalDecodeOwned + PartialEq + Debug,
    C: Codec,
{
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(format!(
            "`{name}` is no name for a file: use letters, digits, `_`, `-` and `.`"
        ));
    }
    let dir = dir.join("golden");
    let path = dir.join(format!("{name}.hex"));
    let shown = path.display();
    let io = |error: io::Error| format!("`{shown}`: {error}");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && mode == GoldenMode::New => {
            let text = written::<T, C>(value)?;
            fs::create_dir_all(&dir).map_err(io)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)
                .map_err(io)?;
            file.write_all(text.as_bytes()).map_err(io)?;
            text
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "`{shown}` is not there: run `WAL_GOLDEN=new cargo test` to make it of today's event, and commit it"
            ));
        }
        Err(error) => return Err(io(error)),
    };
    let payload = bytes(&text).map_err(|problem| format!("`{shown}` {problem}"))?;
    let events = probe::decode::<C, T>(&payload);
    let events =
        events.map_err(|error| format!("`{shown}` cannot be read any more: {}", sentence(&error)))?;
    match &events[..] {
        [event] if event == value => Ok(()),
        [event] => Err(format!("`{shown}` is {event:?} today, expected was {value:?}")),
        events => Err(format!("`{shown}` is {} events today: {events:?}", events.len())),
    }
}

fn written<T: WalDecodeOwned, C: Codec>(value: &T) -> Result<String, String> {
    let (record, payload) = probe::encode::<C, T>(value).map_err(|error| sentence(&error))?;
    let mut text = format!("# `{}` version {}\n", record.name, record.version);
    for line in payload.chunks(BYTES_IN_LINE) {
        text.push_str(&hex(line));
        text.push('\n');
    }
    Ok(text)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#')) {
        let digits: Option<Vec<u8>> = line
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0);
        let digits =
            digits.ok_or_else(|| format!("line {number} is not made of pairs of hexadecimal digits"))?;
        bytes.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    Ok(bytes)
}
