//! The text form of OpenMetrics 1.0, as far as it is needed.

use std::fmt::{Result, Write};

use super::histogram::Histogram;

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A label that the family has besides the name of the log, and its value.
pub(crate) type Label = Option<(&'static str, &'static str)>;

/// A number of a log.
pub(crate) enum Sample<'a> {
    Whole(u64),
    Part(f64),
    Histogram(&'a Histogram),
}

/// Writes numbers of logs, family by family.
pub(crate) struct Text<'w, W: Write> {
    out: &'w mut W,
    name: &'static str,
    kind: Kind,
}

impl<'w, W: Write> Text<'w, W> {
    /// Begins a family: `name` is without what its kind adds to it, and ends with the unit if it has one.
    pub(crate) fn family(
        out: &'w mut W,
        name: &'static str,
        kind: Kind,
        help: &str,
    ) -> std::result::Result<Self, std::fmt::Error> {
        writeln!(out, "# HELP {name} {help}")?;
        writeln!(out, "# TYPE {name} {}", kind.name())?;
        let units = ["seconds", "bytes"];
        if let Some(unit) = units
            .iter()
            .find(|unit| name.ends_with(*unit) && name.ends_with(&format!("_{unit}")))
        {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
        Ok(Text { out, name, kind })
    }

    pub(crate) fn sample(&mut self, log: Option<&str>, label: Label, sample: &Sample<'_>) -> Result {
        match sample {
            Sample::Histogram(histogram) => self.histogram(log, label, histogram),
            sample => {
                let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
                self.line(suffix, log, label, None, sample)
            }
        }
    }

    fn histogram(&mut self, log: Option<&str>, label: Label, histogram: &Histogram) -> Result {
        for (bound, below) in histogram.buckets() {
            self.line("_bucket", log, label, Some(bound), &Sample::Whole(below))?;
        }
        self.line("_count", log, label, None, &Sample::Whole(histogram.count()))?;
        self.line("_sum", log, label, None, &Sample::Part(histogram.sum()))
    }

    fn line(
        &mut self,
        suffix: &str,
        log: Option<&str>,
        label: Label,
        bound: Option<f64>,
        sample: &Sample<'_>,
    ) -> Result {
        write!(self.out, "{}{suffix}", self.name)?;
        let bound = bound.map(number);
        let labels = [
            log.map(|log| ("log", log)),
            label,
            bound.as_deref().map(|bound| ("le", bound)),
        ];
        let mut before = '{';
        for (name, value) in labels.into_iter().flatten() {
            write!(self.out, "{before}{name}=\"{}\"", escaped(value))?;
            before = ',';
        }
        if before == ',' {
            self.out.write_char('}')?;
        }
        match sample {
            Sample::Whole(value) => writeln!(self.out, " {value}"),
            Sample::Part(value) => writeln!(self.out, " {}", number(*value)),
            Sample::Histogram(_) => Err(std::fmt::Error),
        }
    }
}

/// The value of a label. Other control characters have no escapes, and no place in the name of a log.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A number that has one form only, so that the same bucket is always the same label: as Go prints it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&size) {
        return format!("{value:?}");
    }
    let short = format!("{value:e}");
    match short.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |rest| ('-', rest));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let numbers = [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.000_001, "1e-06"),
            (0.000_001_414, "1.414e-06"),
            (0.000_1, "0.0001"),
            (0.064, "0.064"),
            (67.108_864, "67.108864"),
            (524_288.0, "524288.0"),
            (1_048_576.0, "1.048576e+06"),
            (4_294_967_296.0, "4.294967296e+09"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in numbers {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_name_cannot_end_its_label() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
