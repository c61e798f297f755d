//! A row of the CSV file to its events. Nothing is guessed: a field that is not what it should be is an error.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use csv::ByteRecord;

use crate::events::FlightEvent;

pub(crate) const HEADER: [&str; 16] = [
    "time_hour",
    "month",
    "day",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "sched_dep_time",
    "dep_time",
    "dep_delay",
    "sched_arr_time",
    "arr_time",
    "arr_delay",
    "air_time",
    "distance",
];

const DELAY_MIN: RangeInclusive<i32> = -1_440..=14_400;

/// `Scheduled`, then `Cancelled` or `Departed`, then `Flown` and `Arrived` if it is known.
pub(crate) fn events(row: u32, record: &ByteRecord) -> Result<Vec<FlightEvent>> {
    ensure!(
        record.len() == HEADER.len(),
        "{} fields, expected {}",
        record.len(),
        HEADER.len()
    );
    let mut fields = Fields { record, next: 0 };
    let hour_utc = fields.hour()?;
    let month = fields.number(1..=12)?;
    let day = fields.number(1..=31)?;
    let carrier = fields.code(2..=3)?;
    let flight = fields.number(1..=9_999)?;
    let tail_number = fields.optional(|fields| fields.code(1..=6))?;
    let origin = fields.code(3..=3)?;
    let dest = fields.code(3..=3)?;
    let departs = fields.clock()?;
    let departed = fields.optional(Fields::clock)?;
    let dep_delay = fields.optional(|fields| fields.number(DELAY_MIN))?;
    let arrives = fields.clock()?;
    let arrived = fields.optional(Fields::clock)?;
    let arr_delay = fields.optional(|fields| fields.number(DELAY_MIN))?;
    let air_time = fields.optional(|fields| fields.number(1..=1_440))?;
    let distance_miles = fields.number(1..=12_500)?;

    let mut events = vec![FlightEvent::Scheduled {
        row,
        carrier,
        flight,
        tail_number: tail_number.clone(),
        origin,
        dest,
        hour_utc,
        month,
        day,
        departs,
        arrives,
        distance_miles,
    }];
    match (departed, dep_delay) {
        (Some(at), Some(delay_min)) => events.push(FlightEvent::Departed {
            row,
            tail_number,
            at,
            delay_min,
        }),
        (None, None) => {
            ensure!(
                (arrived, arr_delay, air_time) == (None, None, None),
                "no dep_time, and yet an arrival"
            );
            events.push(FlightEvent::Cancelled { row });
        }
        _ => bail!("one of dep_time and dep_delay without the other"),
    }
    match (arrived, arr_delay, air_time) {
        (Some(at), Some(delay_min), Some(air_time_min)) => {
            events.push(FlightEvent::Flown { row, air_time_min });
            events.push(FlightEvent::Arrived { row, at, delay_min });
        }
        // Diverted flights land somewhere: a time alone is no arrival.
        (_, None, None) => {}
        _ => bail!("arr_delay needs arr_time and air_time, air_time needs arr_delay"),
    }
    Ok(events)
}

/// The fields of a record, taken one after the other.
struct Fields<'a> {
    record: &'a ByteRecord,
    next: usize,
}

impl<'a> Fields<'a> {
    fn text(&mut self) -> Result<(&'static str, &'a str)> {
        let (name, bytes) = (HEADER[self.next], &self.record[self.next]);
        self.next += 1;
        let text = std::str::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))?;
        Ok((name, text))
    }

    /// `None` for an empty field, else what `read` makes of it.
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.record[self.next].is_empty() {
            self.next += 1;
            return Ok(None);
        }
        read(self).map(Some)
    }

    fn number<T: FromStr + PartialOrd + Display>(&mut self, range: RangeInclusive<T>) -> Result<T> {
        let (name, text) = self.text()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if plain && range.contains(&number) => Ok(number),
            _ => bail!(
                "{name} is {text:?}, expected a whole number from {} to {}",
                range.start(),
                range.end()
            ),
        }
    }

    /// A time of day; midnight at its end is 2400.
    fn clock(&mut self) -> Result<u16> {
        let name = HEADER[self.next];
        let time = self.number(0..=2_400)?;
        ensure!(time % 100 < 60, "{name} is {time}, expected hours and minutes");
        Ok(time)
    }

    fn code(&mut self, len: RangeInclusive<usize>) -> Result<String> {
        let (name, text) = self.text()?;
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        ensure!(
            len.contains(&text.len()) && text.bytes().all(plain),
            "{name} is {text:?}, expected {} to {} capital letters and digits",
            len.start(),
            len.end()
        );
        Ok(text.to_owned())
    }

    fn hour(&mut self) -> Result<String> {
        const SHAPE: &[u8] = b"0000-00-00T00:00:00Z";
        let (name, text) = self.text()?;
        let fits = |(byte, shape): (u8, &u8)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == *shape,
        };
        ensure!(
            text.len() == SHAPE.len() && text.bytes().zip(SHAPE).all(fits),
            "{name} is {text:?}, expected a time like 2013-01-31T09:00:00Z"
        );
        Ok(text.to_owned())
    }
}
