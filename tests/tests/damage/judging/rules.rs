//! What another implementation got wrong, with checksums that are right: `verify` finds it, and so does the reader in
//! Python, which was written from the document alone.

use wal_db::recovery::Rule;
use wal_tests::{
    files::{FORMS, Form, Place},
    put, python_reader, quiet, verified,
};

use super::forge::{Forged, forge};

type Change = fn(usize, &mut Forged);

/// What is done to the groups and to the manifest, and what is found, by the group.
struct Wrong {
    what: &'static str,
    groups: Change,
    manifest: fn(&mut [u8]),
    found: &'static [(usize, Rule)],
}

fn nothing(_: usize, _: &mut Forged) {}

fn add(bytes: &mut [u8], at: usize, more: u64) {
    let value = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    bytes[at..at + 8].copy_from_slice(&(value + more).to_le_bytes());
}

const WRONG: &[Wrong] = &[
    Wrong {
        what: "a record too many in a header",
        groups: |n, group| {
            if n == 2 {
                group.put_u32(20, group.u32(20) + 1);
            }
        },
        manifest: |_| {},
        found: &[(2, Rule::RecordCount)],
    },
    Wrong {
        what: "an ordinal too high",
        groups: |n, group| {
            if n == 2 {
                group.put_u64(24, 7);
            }
        },
        manifest: |_| {},
        found: &[(2, Rule::Ordinal), (3, Rule::Ordinal)],
    },
    Wrong {
        what: "another head ordinal",
        groups: nothing,
        manifest: |bytes| add(bytes, 72, 1),
        found: &[(0, Rule::HeadOrdinal)],
    },
    Wrong {
        what: "a head in the middle of a record",
        groups: nothing,
        manifest: |bytes| {
            add(bytes, 56, 8);
            add(bytes, 72, 1);
        },
        found: &[(0, Rule::Head)],
    },
    Wrong {
        what: "a seal with records",
        groups: |n, group| {
            if n == 1 {
                group.bytes[55] |= 1;
            }
        },
        manifest: |_| {},
        found: &[(1, Rule::Seal)],
    },
    Wrong {
        what: "a seal that says less than all",
        groups: |n, group| {
            if n == 4 {
                group.put_u32(40, 1);
            }
        },
        manifest: |_| {},
        found: &[(4, Rule::Seal)],
    },
    Wrong {
        what: "the flag of schemas without one",
        groups: |n, group| {
            if n == 1 {
                group.bytes[55] |= 2;
            }
        },
        manifest: |_| {},
        found: &[(1, Rule::SchemaFlag)],
    },
    Wrong {
        what: "a batch that ends with its group",
        groups: |n, group| {
            if n == 2 {
                let last = *group.frames().last().unwrap();
                group.seal(last, 1, true);
            }
        },
        manifest: |_| {},
        found: &[(2, Rule::Batch)],
    },
    Wrong {
        what: "a batch of two kinds",
        groups: |n, group| {
            if n == 2 {
                let frames = group.frames();
                group.seal(frames[0], 1, true);
                group.seal(frames[1], 2, false);
            }
        },
        manifest: |_| {},
        found: &[(2, Rule::Batch)],
    },
    Wrong {
        what: "a void in a batch",
        groups: |n, group| {
            if n == 3 {
                let frames = group.frames();
                group.seal(frames[0], 1, true);
                group.seal(frames[1], 4, false);
                group.put_u32(20, group.u32(20) - 1);
            }
            if n == 4 {
                group.put_u64(24, 11);
            }
        },
        manifest: |_| {},
        found: &[(3, Rule::Batch)],
    },
    Wrong {
        what: "padding after a group",
        groups: |n, group| {
            if n == 1 {
                *group.bytes.last_mut().unwrap() = 1;
            }
        },
        manifest: |_| {},
        found: &[(1, Rule::Padding)],
    },
    Wrong {
        what: "padding after a record",
        groups: |n, group| {
            if n == 1 {
                let frame = group.frames()[0];
                group.bytes[frame.at + 8 + frame.len] = 1;
            }
        },
        manifest: |_| {},
        found: &[(1, Rule::Padding)],
    },
    Wrong {
        what: "zero sectors that are none",
        groups: |n, group| {
            if n == 3 {
                group.bytes[52] += 1;
            }
        },
        manifest: |_| {},
        found: &[(3, Rule::ZeroSectors)],
    },
    Wrong {
        what: "a previous distance that leads into a group",
        groups: |n, group| {
            if n == 3 {
                group.put_u32(44, group.u32(44) - 1);
            }
        },
        manifest: |_| {},
        found: &[(3, Rule::PreviousDistance)],
    },
    Wrong {
        what: "an epoch that falls, where no timeline tells",
        groups: |n, group| {
            if n == 3 {
                group.put_u32(32, group.u32(32) - 1);
                for frame in group.frames() {
                    group.seal(frame, 1, false);
                }
            }
        },
        manifest: |bytes| {
            let mark = bytes[80..88].to_vec();
            bytes[120..128].copy_from_slice(&mark);
        },
        found: &[(3, Rule::Epoch)],
    },
];

/// Four groups of three records, of 700 bytes and more, and the seal of the close.
fn closed(form: Form) -> Place {
    let place = Place::fast(form);
    let wal = place.open(quiet()).unwrap();
    for n in 0..12 {
        put(&wal, n, 700 + n);
        if n % 3 == 2 {
            wal.sync().unwrap();
        }
    }
    wal.close().unwrap();
    assert_eq!(place.groups().len(), 5);
    place
}

fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::RecordCount => "record count",
        Rule::Ordinal => "ordinal",
        Rule::HeadOrdinal => "head ordinal",
        Rule::Head => "head",
        Rule::Seal => "seal",
        Rule::SchemaFlag => "schema flag",
        Rule::Batch => "batch",
        Rule::Padding => "padding",
        Rule::ZeroSectors => "zero sectors",
        Rule::PreviousDistance => "previous distance",
        Rule::Epoch => "epoch",
        other => panic!("{other:?}"),
    }
}

/// The verdict of the reader in Python; `None`, and a note, if there is no Python.
pub(crate) fn verdict_of_python(place: &Place) -> Option<serde_json::Value> {
    let lines = python_reader([place.path()])?;
    Some(serde_json::from_str(lines.lines().last().unwrap()).unwrap())
}

/// The rules that it finds broken.
fn told_by_python(place: &Place) -> Option<Vec<(u64, String)>> {
    let verdict = verdict_of_python(place)?;
    let rules = verdict["rules"].as_array().unwrap_or_else(|| panic!("{verdict}"));
    let mut told: Vec<_> = rules
        .iter()
        .map(|rule| (rule[0].as_u64().unwrap(), rule[1].as_str().unwrap().to_owned()))
        .collect();
    told.sort();
    Some(told)
}

#[test]
fn what_another_implementation_got_wrong_is_found_by_verify_and_by_the_reader_of_the_document() {
    for form in FORMS {
        for wrong in WRONG {
            let place = closed(form);
            forge(&place, wrong.groups, wrong.manifest);
            let what = format!("{form:?}, {}", wrong.what);
            let wal = quiet()
                .open_read_only(place.path())
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let report = verified(&wal).unwrap();
            assert!(
                report.damage.is_empty() && report.files.is_empty() && !report.is_intact(),
                "{what}: {report:?}"
            );
            let groups = place.groups();
            let expected: Vec<_> = wrong
                .found
                .iter()
                .map(|(n, rule)| (groups[*n].pos, *rule))
                .collect();
            let found: Vec<_> = report.violations.iter().map(|v| (v.start, v.rule)).collect();
            assert_eq!(found, expected, "{what}");
            for violation in &report.violations {
                assert_eq!(violation.lsn.get(), violation.start, "{what}");
                assert_eq!(violation.segment, place.segment_of(violation.start), "{what}");
            }
            if let Some(told) = told_by_python(&place) {
                let mut expected: Vec<_> = expected
                    .iter()
                    .map(|(at, rule)| (*at, name(*rule).to_owned()))
                    .collect();
                expected.sort();
                assert_eq!(told, expected, "{what}: the reader in Python");
            }
        }
    }
}

#[test]
fn a_log_that_is_written_again_as_it_was_breaks_no_rule() {
    for form in FORMS {
        let place = closed(form);
        let before = place.bytes();
        forge(&place, nothing, |_| {});
        wal_tests::files::assert_same_files(&before, &place.bytes(), "forged as it was");
        let wal = quiet().open_read_only(place.path()).unwrap();
        let report = verified(&wal).unwrap();
        assert!(report.is_intact(), "{report:?}");
        assert_eq!((report.records, report.groups), (12, 5));
    }
}
