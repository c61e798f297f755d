//! The examples about events that change, as their user meets them.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use serde_json::Value;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-2013-01.csv");

/// What an example prints. `cargo test` builds the examples before it runs this; `cargo test --test NAME` does not.
fn printed(example: &str, args: &[&str]) -> String {
    let test = std::env::current_exe().expect("the test knows its place");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let file = format!("{example}{}", std::env::consts::EXE_SUFFIX);
    let program: PathBuf = profile.join("examples").join(file);
    let output = Command::new(&program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("cargo build --examples; {}: {error}", program.display()));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn each_release_reads_what_those_before_it_wrote() {
    let printed = printed("evolve", &[]);
    let (_, third) = printed.split_once("release 3 reads\n").expect("three releases");
    let lines: Vec<_> = third.lines().collect();
    let [first, second, third, behind, one, refused] = lines[..] else {
        panic!("{printed}");
    };
    let placed = r#"stored as version 1: Placed { id: 1, channel: "shop", cents: 999 }"#;
    assert_eq!(first.trim(), placed);
    let placed = r#"stored as version 2: Placed { id: 2, channel: "phone", cents: 2050 }"#;
    assert_eq!(second.trim(), placed);
    let placed = r#"stored as version 3: Placed { id: 3, channel: "web", cents: 100 }"#;
    assert_eq!(third.trim(), placed);
    assert_eq!(behind, "release 1 knows version 1, and the log holds version 3");
    assert_eq!(one.trim(), "Placed { id: 1, euros: 9.99 }");
    assert!(
        refused.contains("is version 2 and this program knows version 1"),
        "{refused}"
    );
}

#[test]
fn one_log_holds_three_codecs() {
    let printed = printed("mixed_codecs", &[]);
    let codecs: Vec<_> = printed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        codecs,
        ["bincode", "bincode", "postcard", "postcard", "JSON", "JSON"]
    );
    for id in 1..=3 {
        assert!(
            printed.contains(&format!("Measured {{ id: {id}, celsius: 21.5 }}")),
            "{printed}"
        );
    }
}

fn lines(printed: &str) -> Vec<Value> {
    printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

#[test]
fn a_log_explains_itself() {
    let lines = lines(&printed("explain", &[]));
    let [opened, closed, plain] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(opened["name"], "door.opened");
    assert_eq!(opened["event"], serde_json::json!({ "by": "ann", "at": [8, 30] }));
    assert_eq!(
        (&closed["name"], &closed["event"]),
        (&"door.closed".into(), &Value::Null)
    );
    assert!(plain["error"].is_string() && plain["lsn"].is_u64(), "{plain}");
}

/// A program without the types prints what the file says.
#[test]
fn the_log_of_another_program_explains_itself() {
    const ROWS: usize = 1_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = fs::read_to_string(DATA).expect("the data");
    let rows: String = data.split_inclusive('\n').take(1 + ROWS).collect();
    let (csv, log) = (dir.path().join("rows.csv"), dir.path().join("log"));
    fs::write(&csv, &rows).expect("written");
    let [csv, log] = [&csv, &log].map(|path| path.to_str().expect("UTF-8"));
    printed("flights", &["--data", csv, "--log", log]);

    let lines = lines(&printed("explain", &[log]));
    let mut counts = BTreeMap::<_, usize>::new();
    for line in &lines {
        let name = line["name"].as_str().expect("a name");
        *counts.entry((name, line["version"].as_u64())).or_default() += 1;
    }
    let fields = |row: &str| row.trim_end().split(',').map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = rows.lines().skip(1).map(fields).collect();
    let having = |field: usize| rows.iter().filter(|row| !row[field].is_empty()).count();
    let (departed, arrived) = (having(10), having(13));
    let expected = BTreeMap::from([
        (("flights.import_started", Some(1)), 1),
        (("flights.scheduled", Some(1)), ROWS),
        (("flights.departed", Some(2)), departed),
        (("flights.flown", Some(1)), arrived),
        (("flights.arrived", Some(2)), arrived),
        (("flights.cancelled", Some(1)), ROWS - departed),
    ]);
    assert_eq!(counts, expected);

    let of = |name: &'static str| lines.iter().filter(move |line| line["name"] == name);
    for (row, line) in rows.iter().zip(of("flights.scheduled")) {
        let event = &line["event"];
        let text = [event["carrier"].as_str(), event["tail_number"].as_str()].map(Option::unwrap_or_default);
        assert_eq!(text, [&row[3], &row[5]]);
        assert_eq!(event["distance_miles"].to_string(), row[15]);
    }
}
