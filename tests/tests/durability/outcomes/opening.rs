//! The second table of `docs/errors.md`, made by trying: what each call that takes a path says of what is there. None of
//! them changes it, except that `open` makes a log where none is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wal_db::{Result, Wal, recovery::SalvageItem};
use wal_tests::{
    files::{FORMS, Form, Place, assert_same_files, tree},
    put, quiet, variant,
};

use super::table::is_shown;

type Call = (&'static str, fn(&Path, Form) -> Result<&'static str>);

const CALLS: [Call; 4] = [
    ("open", |path, form| {
        let wal = form.open(path, quiet())?;
        Ok(if wal.recovery().created { "a new log" } else { "Ok" })
    }),
    ("open_read_only", |path, _| {
        Wal::open_read_only(path).map(|_| "Ok")
    }),
    ("inspect", |path, _| {
        let inspection = wal_db::recovery::inspect(path)?;
        Ok(if inspection.damage.is_some() {
            "Ok, reported"
        } else {
            "Ok"
        })
    }),
    ("salvage", |path, _| {
        let mut said = "Ok";
        for item in wal_db::recovery::salvage(path)? {
            if matches!(item?, SalvageItem::Damage(_)) {
                said = "Ok, reported";
            }
        }
        Ok(said)
    }),
];

/// What is at the path, in a place of its own. What is returned with it lives as long as the calls.
type Situation = (&'static str, fn(Form) -> (Place, Option<Wal>));

/// Groups of records, all of them durable.
fn fill(wal: &Wal) {
    for seed in 0..40 {
        put(wal, seed, 9_000);
        if seed % 5 == 4 {
            wal.sync().unwrap();
        }
    }
}

fn closed(form: Form) -> Place {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    fill(&wal);
    wal.close().unwrap();
    place
}

/// Something of the right kind, file or directory, with these files in it.
fn made_of(form: Form, name: &str, bytes: &[u8]) -> (Place, Option<Wal>) {
    let place = Place::new(form);
    let path: PathBuf = match form {
        Form::File => place.path(),
        Form::Segmented => {
            fs::create_dir(place.path()).unwrap();
            place.path().join(name)
        }
    };
    if form == Form::File || !name.is_empty() {
        fs::write(path, bytes).unwrap();
    }
    (place, None)
}

const SITUATIONS: [Situation; 8] = [
    ("nothing is there", |form| (Place::new(form), None)),
    ("it is empty", |form| made_of(form, "", b"")),
    ("something else is there", |form| {
        made_of(form, "notes.txt", b"my notes")
    }),
    ("a log of wal-db 1.x is there", |form| {
        // A record of no bytes.
        let record = [0xc7, 0x4b, 0x67, 0x48, 0, 0, 0, 0];
        made_of(form, "00000000000000000000.wal", &record)
    }),
    ("of a newer version", |form| {
        let place = closed(form);
        for slot in [0, 1] {
            place.patch_manifest(slot, |bytes| bytes[8] = 7);
        }
        (place, None)
    }),
    ("a writer has it open", |form| {
        let place = closed(form);
        let wal = place.open(quiet()).unwrap();
        (place, Some(wal))
    }),
    ("damage after the mark", |form| {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        for seed in 0..4 {
            put(&wal, seed, 9_000);
            wal.sync().unwrap();
        }
        let killed = place.killed();
        killed.flip(200);
        (killed, None)
    }),
    ("damage before the mark", |form| {
        let place = closed(form);
        place.flip(200);
        (place, None)
    }),
];

#[test]
fn the_table_of_what_is_at_a_path_is_what_the_calls_say() {
    let mut table = String::from("| at the path |");
    for (call, _) in &CALLS {
        table += &format!(" {call} |");
    }
    table += "\n| --- |";
    table += &" --- |".repeat(CALLS.len());
    for (situation, make) in &SITUATIONS {
        table += &format!("\n| {situation} |");
        for (call, run) in &CALLS {
            let [file, segments] = FORMS.map(|form| {
                let (place, _wal) = make(form);
                let before = tree(place.root());
                let outcome = run(&place.path(), form);
                let said = outcome.as_ref().map_or_else(variant, |said| *said);
                if *call != "open" || outcome.is_err() {
                    let what = format!("{call} where {situation}, {form:?}");
                    assert_same_files(&before, &tree(place.root()), &what);
                }
                said
            });
            table += &match file == segments {
                true => format!(" {file} |"),
                false => format!(" {file}; {segments} |"),
            };
        }
    }
    is_shown("made by tests/tests/durability/outcomes/opening.rs", &table);
}
