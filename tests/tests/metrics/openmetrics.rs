//! A reader of the text form of OpenMetrics 1.0 that takes what its grammar and its rules allow and nothing else, as far as
//! logs print it: counters, gauges and histograms, without timestamps and exemplars.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

type Families = BTreeMap<String, Family>;

/// Reads a whole exposition; says what is wrong with it, and where.
pub(crate) fn parse(text: &str) -> Result<Families, String> {
    let body = text
        .strip_suffix("# EOF\n")
        .ok_or("does not end with # EOF and a line feed")?;
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the line before # EOF does not end".to_owned());
    }
    let mut families = Families::new();
    let mut current: Option<(String, Family)> = None;
    for (at, line) in body.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}: {line}", at + 1);
        if let Some(meta) = line.strip_prefix("# ") {
            let mut parts = meta.splitn(3, ' ');
            let (Some(what), Some(name), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong("not three words"));
            };
            check_name(name, true).map_err(|error| wrong(&error))?;
            if current.as_ref().is_none_or(|(known, _)| known != name) {
                finish(&mut families, current.take()).map_err(|error| wrong(&error))?;
                if families.contains_key(name) {
                    return Err(wrong("a family that was there before"));
                }
                current = Some((name.to_owned(), Family::default()));
            }
            let (_, family) = current.as_mut().unwrap();
            if !family.samples.is_empty() {
                return Err(wrong("said after a sample"));
            }
            let field = match what {
                "HELP" => &mut family.help,
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                _ => return Err(wrong("unknown")),
            };
            if !field.is_empty() {
                return Err(wrong("said twice"));
            }
            unescape(rest, &['\\', 'n', '"'])
                .map_err(|error| wrong(&error))?
                .clone_into(field);
        } else {
            let sample = parse_sample(line).map_err(|error| wrong(&error))?;
            let Some((name, family)) = current.as_mut() else {
                return Err(wrong("a sample of no family"));
            };
            let suffix = sample.name.strip_prefix(name.as_str()).unwrap_or("?");
            let suffixes: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => return Err(wrong("of an unknown type")),
            };
            if !suffixes.contains(&suffix) {
                return Err(wrong("not a sample of this family"));
            }
            family.samples.push(sample);
        }
    }
    finish(&mut families, current).map_err(|error| format!("the last family: {error}"))?;
    Ok(families)
}

fn check_name(name: &str, colons: bool) -> Result<(), String> {
    let is_fine = |(at, c): (usize, char)| {
        c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (at > 0 && c.is_ascii_digit())
    };
    match !name.is_empty() && name.chars().enumerate().all(is_fine) {
        true => Ok(()),
        false => Err(format!("{name:?} is no name")),
    }
}

fn unescape(text: &str, known: &[char]) -> Result<String, String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(next) if known.contains(&next) => plain.push(next),
                next => return Err(format!("an escape of {next:?}")),
            },
            c if c.is_control() => return Err(format!("{c:?} is not escaped")),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

fn parse_sample(line: &str) -> Result<Sample, String> {
    let name_end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(name_end);
    check_name(name, true)?;
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("no value of a label")?;
            check_name(label, false)?;
            let end = end_of_string(after).ok_or("a label without an end")?;
            let value = unescape(&after[..end], &['\\', '"', 'n'])?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("the label {label} is there twice"));
            }
            rest = &after[end + 1..];
            match rest.chars().next() {
                Some(',') => rest = &rest[1..],
                Some('}') => break,
                _ => return Err("neither a comma nor an end after a label".to_owned()),
            }
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let is_number = value
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-'));
    let value = match value.parse() {
        Ok(number) if is_number => number,
        _ => return Err(format!("{value:?} is no number")),
    };
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Where the first quotation mark is that is not escaped.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// Checks a family that is complete, and takes it in.
fn finish(families: &mut Families, family: Option<(String, Family)>) -> Result<(), String> {
    let Some((name, family)) = family else {
        return Ok(());
    };
    let suffix = name.rsplit('_').next().unwrap_or_default();
    if !family.unit.is_empty() && suffix != family.unit {
        return Err(format!("{name} does not end with its unit {}", family.unit));
    }
    if family.kind.is_empty() || family.help.is_empty() {
        return Err(format!("{name} has no type or no help"));
    }
    if ["_total", "_bucket", "_count", "_sum", "_created", "_info"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return Err(format!("{name} ends as a sample does"));
    }
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        if !seen.insert((&sample.name, &sample.labels)) {
            return Err(format!("{sample:?} is there twice"));
        }
        if family.kind != "gauge" && sample.value < 0.0 {
            return Err(format!("{sample:?} is negative"));
        }
    }
    if family.kind == "histogram" {
        check_histograms(&family)?;
    } else if family
        .samples
        .iter()
        .any(|sample| sample.labels.contains_key("le"))
    {
        return Err(format!("{name} has bounds"));
    }
    if families.insert(name.clone(), family).is_some() {
        return Err(format!("{name} was there before"));
    }
    Ok(())
}

/// Of each histogram the buckets come first, in order and cumulative, the last one without a bound; then its count, which is
/// that of the last bucket, and its sum.
fn check_histograms(family: &Family) -> Result<(), String> {
    let without_bound = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        labels
    };
    let mut seen = BTreeSet::new();
    for one in family
        .samples
        .chunk_by(|a, b| without_bound(a) == without_bound(b))
    {
        let labels = without_bound(&one[0]);
        let wrong = |what: &str| Err(format!("{what}: {} {labels:?}", one[0].name));
        if !seen.insert(labels.clone()) {
            return wrong("not all in one place");
        }
        let [buckets @ .., count, sum] = one else {
            return wrong("no count and sum");
        };
        let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
        for bucket in buckets {
            let le = bucket.labels.get("le").map_or("none", String::as_str);
            let next = match le {
                "+Inf" => f64::INFINITY,
                le => le.parse().unwrap_or(f64::NAN),
            };
            if !bucket.name.ends_with("_bucket")
                || next.partial_cmp(&bound) != Some(std::cmp::Ordering::Greater)
            {
                return wrong("bounds do not grow");
            }
            if bucket.value < below || bucket.value.fract() != 0.0 {
                return wrong("not cumulative");
            }
            (bound, below) = (next, bucket.value);
        }
        if bound != f64::INFINITY || !count.name.ends_with("_count") || count.value != below {
            return wrong("the last bucket is not the count");
        }
        if !sum.name.ends_with("_sum") || count.labels.contains_key("le") || sum.labels.contains_key("le") {
            return wrong("no sum");
        }
    }
    Ok(())
}

#[test]
fn the_reader_refuses_what_is_not_allowed() {
    let fine = "# HELP a_seconds h\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
        a_seconds_bucket{l=\"x\\\"\",le=\"1e-06\"} 1\na_seconds_bucket{l=\"x\\\"\",le=\"+Inf\"} 2\n\
        a_seconds_count{l=\"x\\\"\"} 2\na_seconds_sum{l=\"x\\\"\"} 0.5\n\
        # HELP b h\n# TYPE b counter\nb_total 1\n# EOF\n";
    let families = parse(fine).unwrap();
    assert_eq!(families.len(), 2);
    assert_eq!(families["a_seconds"].samples[0].labels["l"], "x\"");
    let spoilt = [
        ("# EOF\n", ""),
        ("# EOF\n", "\n# EOF\n"),
        ("} 2\na_seconds_count", "} 3\na_seconds_count"),
        ("le=\"1e-06\"} 1", "le=\"1e-06\"} 3"),
        ("le=\"1e-06\"", "le=\"+Inf\""),
        ("a_seconds_sum", "a_seconds_total"),
        ("UNIT a_seconds seconds", "UNIT a_seconds bytes"),
        ("b_total 1", "b 1"),
        ("b_total 1", "b_total -1"),
        ("b_total 1", "b_total  1"),
        ("b_total 1", "b_total one"),
        ("b_total 1", "b_total{} 1"),
        ("b_total 1", "b_total{x=\"1\",x=\"2\"} 1"),
        ("b_total 1", "b_total 1\nb_total 1"),
        ("b_total 1", "b_total 1\n# TYPE a_seconds gauge\na_seconds 1"),
        ("# TYPE b counter\n", ""),
        ("x\\\"\",le=\"1e", "x\\q\",le=\"1e"),
    ];
    for (from, to) in spoilt {
        assert!(fine.contains(from), "{from}");
        let text = fine.replacen(from, to, 1);
        assert!(parse(&text).is_err(), "{from:?} as {to:?} was taken");
    }
}
