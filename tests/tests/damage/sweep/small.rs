//! A log of three groups, in which every byte is changed in every way that counts.

use wal_db::testing::sim::{Image, Medium, SimDisk};
use wal_tests::{
    Entry,
    files::{FORMS, Form, SEGMENT, SEGMENT_ROW},
    put, quiet_heap,
    sim::{
        check::{self, Outcome},
        log::{self, Design, Opening},
    },
};

/// Its records, and what is on the disk when it was closed.
fn closed(form: Form) -> (Vec<Entry>, Image) {
    let disk = SimDisk::new();
    let wal = log::open(&disk, form, quiet_heap()).unwrap();
    let group = |group| {
        let entries = [10, 300].map(|len| put(&wal, group, len));
        wal.sync().unwrap();
        entries
    };
    let entries = [0, 1, 2].map(group).concat();
    wal.close().unwrap();
    let mut medium = Medium::default();
    disk.journal().iter().for_each(|step| medium.apply(step));
    (entries, medium.after(&medium.nothing()))
}

/// Where something is that a log needs: in which file, and how much from where on.
fn places(opening: Opening, image: &Image) -> Vec<(std::path::PathBuf, usize, usize)> {
    let slots = [0, 1].map(|slot| opening.locate_slot(slot).unwrap());
    let mut places: Vec<_> = slots.map(|(path, at)| (path, at, 260)).into();
    // From the row's header to what is after the end.
    let (path, row) = opening.locate(0);
    let len = image.file(&path).unwrap().len();
    let start = row - SEGMENT_ROW as usize;
    places.push((path.clone(), start, 64));
    places.push((path, row, (len - row).min(5 * 512)));
    places
}

#[test]
fn every_byte_of_three_groups() {
    for form in FORMS {
        let (entries, image) = closed(form);
        let opening = Opening {
            design: Design::Ours,
            form,
            segment: SEGMENT,
            config: quiet_heap(),
        };
        assert_eq!(
            check::look(image.clone(), opening),
            Outcome::Read(entries.clone()),
            "{form:?}"
        );
        let (mut cases, mut refused) = (0, 0);
        for (path, start, len) in places(opening, &image) {
            let is_manifest = start != opening.locate(0).1 && len == 260;
            for at in start..start + len {
                let old = image.file(&path).unwrap().part(at, 1)[0];
                for new in [old ^ 1 << (at % 8), 0, 0xff]
                    .into_iter()
                    .filter(|&new| new != old)
                {
                    let mut image = image.clone();
                    image.file_mut(&path).unwrap().write(at, &[new]);
                    let outcome = check::look(image, opening);
                    let what = format!(
                        "{form:?}, {} byte {at}: {old:#x} to {new:#x}: {outcome:?}",
                        path.display()
                    );
                    cases += 1;
                    match outcome {
                        // One copy of the manifest is made good by the other one.
                        Outcome::Refused(_) => {
                            refused += 1;
                            assert!(!is_manifest, "{what}");
                        }
                        Outcome::Read(found) => assert!(found == entries, "{what}"),
                    }
                }
            }
        }
        assert!(cases > 5000 && refused > 2000, "{form:?}: {refused} of {cases}");
    }
}
