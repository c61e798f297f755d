//! Whole files: missing, cut, extended, swapped, of another log, of an older state, or no files at all.

use std::{
    fs,
    ops::Range,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use wal_tests::{
    files::{FILE_ROW, Form, SECTOR, SEGMENT, SEGMENT_ROW, SLOT},
    payload, scale,
};

use super::{
    image::{Files, Image, number},
    judge::{Copies, Harm, Tally, judge},
};

/// What a file becomes.
enum Now {
    Gone,
    Bytes(Vec<u8>),
    Dir,
    Link,
}

/// Does everything to every file of a log.
pub(crate) fn sweep(image: &Image, other: &Image) -> Tally {
    let mut tally = Tally::default();
    for (index, path) in image.segments() {
        segment(image, other, index, &path, &mut tally);
    }
    if image.place.form == Form::Segmented {
        swapped(image, &mut tally);
    }
    manifest(image, other, &mut tally);
    if let Some(path) = image.staging() {
        staging(image, other, &path, &mut tally);
    }
    tally
}

/// Makes a file something else; nothing happens if it is that already.
fn try_file(image: &Image, path: &Path, now: Now, mut harm: Harm, tally: &mut Tally) {
    let there = image.place.root().join(path);
    harm.not_usable |= image.is_only_ready(path);
    if let Now::Bytes(bytes) = &now {
        harm.missing = missing(image, path, bytes);
    }
    match now {
        Now::Bytes(bytes) if image.files.get(path) == Some(&bytes) => return,
        Now::Bytes(bytes) => fs::write(there, bytes).unwrap(),
        Now::Gone => fs::remove_file(there).unwrap(),
        Now::Dir => {
            fs::remove_file(&there).unwrap();
            fs::create_dir(there).unwrap();
        }
        Now::Link => {
            let moved = there.with_extension("moved");
            fs::rename(&there, &moved).unwrap();
            symlink(moved, there).unwrap();
        }
    }
    judge(image, &harm, tally);
}

/// What of the stream reads as if it had never arrived, if the file is what it was up to there.
fn missing(image: &Image, path: &Path, bytes: &[u8]) -> Option<Range<u64>> {
    let before = image.files.get(path)?;
    let same = before
        .iter()
        .zip(bytes)
        .take_while(|(one, other)| one == other)
        .count();
    let is_end = bytes[same..].iter().all(|&byte| byte == 0);
    // After the header nothing is used up to the row.
    let row = if image.place.form == Form::File {
        FILE_ROW
    } else {
        SEGMENT_ROW
    };
    let used = row - SEGMENT_ROW + 52;
    let start = image
        .pos_of(path, (same as u64).max(row))
        .filter(|_| is_end && same as u64 >= used)?;
    Some(start..start + before.len() as u64 - (same as u64).max(row))
}

/// The lengths that a file is cut to: every sector, and odd ones around what stands in it.
fn lengths(bytes: &[u8], special: &[u64]) -> Vec<u64> {
    let len = bytes.len() as u64;
    let step = (16 / u64::from(scale())).max(1) * SECTOR;
    let odd = special
        .iter()
        .flat_map(|at| [at.saturating_sub(1), *at, at + 1, at + 7]);
    let mut lengths: Vec<u64> = (0..len).step_by(step as usize).chain(odd).collect();
    lengths.retain(|&at| at < len);
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

fn segment(image: &Image, other: &Image, index: u64, path: &PathBuf, tally: &mut Tally) {
    let bytes = &image.files[path];
    let is_file = image.place.form == Form::File;
    let row = if is_file { FILE_ROW } else { SEGMENT_ROW };
    let mut special = vec![8, 52, row];
    special.extend(image.groups.iter().flat_map(|group| {
        [group.pos, group.pos + 64, group.pos + group.len, group.next()]
            .into_iter()
            .filter(|&pos| is_file || pos / SEGMENT == index)
            .map(|pos| row + if is_file { pos } else { pos % SEGMENT })
    }));
    // An empty file is no log; a new one is made in it.
    for len in lengths(bytes, &special)
        .into_iter()
        .filter(|&len| !is_file || len > 0)
    {
        let mut harm = Harm::of(&format!("{} cut to {len} bytes", path.display()));
        harm.not_a_log = is_file && len < row;
        try_file(
            image,
            path,
            Now::Bytes(bytes[..len as usize].to_vec()),
            harm,
            tally,
        );
    }
    for (name, junk) in [
        ("zeros", vec![0; 5000]),
        ("junk", payload(1, 5000)),
        ("itself", bytes[..4096].to_vec()),
    ] {
        let harm = Harm::of(&format!("{} and {name} behind it", path.display()));
        try_file(
            image,
            path,
            Now::Bytes([bytes.as_slice(), &junk].concat()),
            harm,
            tally,
        );
    }
    let foreign = Harm::of(&format!("{} of another log", path.display()));
    if is_file {
        // Without its manifest, which makes it the other log.
        let bytes = [
            &bytes[..2 * SLOT as usize],
            &other.files[path][2 * SLOT as usize..],
        ]
        .concat();
        try_file(image, path, Now::Bytes(bytes), foreign, tally);
    } else {
        try_file(image, path, Now::Bytes(other.files[path].clone()), foreign, tally);
        try_file(
            image,
            path,
            Now::Gone,
            Harm::of(&format!("{} missing", path.display())),
            tally,
        );
    }
    for (name, now) in [("a directory", Now::Dir), ("a link", Now::Link)] {
        let mut harm = Harm::of(&format!("{} is {name}", path.display()));
        harm.not_a_log = is_file;
        try_file(image, path, now, harm, tally);
    }
    for (i, older) in image.older.iter().enumerate() {
        let Some(old) = older.get(path) else { continue };
        let harm = Harm::of(&format!("{} of older state {i}", path.display()));
        let old = if is_file {
            [&bytes[..2 * SLOT as usize], &old[2 * SLOT as usize..]].concat()
        } else {
            old.clone()
        };
        try_file(image, path, Now::Bytes(old), harm, tally);
    }
}

/// Segments under each other's names, one way and both ways, and after the last one.
fn swapped(image: &Image, tally: &mut Tally) {
    let segments = image.segments();
    let newest = segments.last().unwrap().0;
    let name = |index| image.below(&image.place.segment(index));
    for (one, one_path) in &segments {
        let bytes = &image.files[one_path];
        for (two, two_path) in segments.iter().filter(|(two, _)| two != one) {
            let harm = Harm::of(&format!("segment {one} copied over {two}"));
            try_file(image, two_path, Now::Bytes(bytes.clone()), harm, tally);
            if one < two {
                let harm = Harm::of(&format!("segments {one} and {two} swapped"));
                fs::write(image.place.root().join(one_path), &image.files[two_path]).unwrap();
                try_file(image, two_path, Now::Bytes(bytes.clone()), harm, tally);
            }
        }
        for index in [0, newest + 1, newest + 2, 1 << 30] {
            let mut harm = Harm::of(&format!("segment {one} copied to {index}"));
            harm.not_usable = index > newest;
            try_file(image, &name(index), Now::Bytes(bytes.clone()), harm, tally);
        }
    }
}

/// A manifest that consists of these two copies, before what follows it.
fn with_slots(image: &Image, slots: [&[u8]; 2]) -> Vec<u8> {
    let mut bytes = image.files[&image.manifest()].clone();
    let end = (2 * SLOT as usize).min(bytes.len());
    bytes.splice(..end, slots.concat());
    bytes
}

fn slots_of(files: &Files, path: &PathBuf) -> [Vec<u8>; 2] {
    let mut bytes = files[path].clone();
    bytes.resize(bytes.len().max(2 * SLOT as usize), 0);
    let slot = SLOT as usize;
    [bytes[..slot].to_vec(), bytes[slot..2 * slot].to_vec()]
}

fn manifest(image: &Image, other: &Image, tally: &mut Tally) {
    let path = image.manifest();
    let bytes = &image.files[&path];
    let [first, second] = slots_of(&image.files, &path);
    let none = vec![0; SLOT as usize];
    let mut slots = |what: &str, slots: [&[u8]; 2], copies: Copies| {
        let mut harm = Harm::of(&format!("the manifest: {what}"));
        harm.manifest = copies;
        try_file(image, &path, Now::Bytes(with_slots(image, slots)), harm, tally);
    };
    slots("copies swapped", [&second, &first], Copies::None);
    slots("no first copy", [&none, &second], Copies::One);
    slots("no second copy", [&first, &none], Copies::One);
    slots("no copy", [&none, &none], Copies::Both);
    let strangers = image
        .older
        .iter()
        .enumerate()
        .map(|(i, files)| (format!("older state {i}"), files));
    for (name, files) in strangers.chain([("another log".to_owned(), &other.files)]) {
        let [theirs, theirs_too] = slots_of(files, &path);
        slots(&format!("both of {name}"), [&theirs, &theirs_too], Copies::Both);
        slots(&format!("the first of {name}"), [&theirs, &second], Copies::None);
        slots(&format!("the second of {name}"), [&first, &theirs], Copies::None);
        slots(
            &format!("only the first, of {name}"),
            [&theirs, &none],
            Copies::Both,
        );
    }
    if image.place.form == Form::File {
        return; // the rest is that of the file
    }
    let len = u64::from(number(bytes, 20) as u32);
    let mut all: Vec<u64> = lengths(bytes, &[SLOT, SLOT + len - 1]);
    all.extend(
        (0..len + 8)
            .chain(SLOT..SLOT + len)
            .step_by((7 / scale() as usize).max(1)),
    );
    for cut in all {
        let mut harm = Harm::of(&format!("the manifest cut to {cut} bytes"));
        harm.manifest = match cut {
            cut if cut < len => Copies::Both,
            cut if cut < SLOT + len => Copies::One,
            _ => Copies::None,
        };
        harm.not_a_log = (1..8).contains(&cut);
        try_file(
            image,
            &path,
            Now::Bytes(bytes[..cut as usize].to_vec()),
            harm,
            tally,
        );
    }
    for (name, now) in [
        ("missing", Now::Gone),
        ("a directory", Now::Dir),
        ("a link", Now::Link),
    ] {
        let mut harm = Harm::of(&format!("the manifest is {name}"));
        harm.manifest = Copies::Both;
        harm.not_a_log = !matches!(now, Now::Gone);
        try_file(image, &path, now, harm, tally);
    }
}

fn staging(image: &Image, other: &Image, path: &PathBuf, tally: &mut Tally) {
    let bytes = &image.files[path];
    let mut harm = |what: String, now: Now| {
        let mut harm = Harm::of(&format!("the staging file: {what}"));
        harm.staging = true;
        harm.not_usable = matches!(now, Now::Dir | Now::Link);
        try_file(image, path, now, harm, tally);
    };
    harm("missing".to_owned(), Now::Gone);
    harm("a directory".to_owned(), Now::Dir);
    harm("a link".to_owned(), Now::Link);
    harm("zeros".to_owned(), Now::Bytes(vec![0; bytes.len()]));
    harm("of another log".to_owned(), Now::Bytes(other.files[path].clone()));
    for (i, older) in image.older.iter().enumerate() {
        harm(format!("of older state {i}"), Now::Bytes(older[path].clone()));
    }
    for len in lengths(bytes, &[8, 64, 512, 520, 528, 1024, 1040, 4096]) {
        harm(
            format!("cut to {len} bytes"),
            Now::Bytes(bytes[..len as usize].to_vec()),
        );
    }
    harm(
        "junk behind it".to_owned(),
        Now::Bytes([bytes.as_slice(), &payload(2, 5000)].concat()),
    );
}
