//! One byte, flipped, zeroed or set.

use std::{collections::BTreeSet, fs::OpenOptions, ops::Range, os::unix::fs::FileExt, path::PathBuf};

use wal_tests::{
    files::{FILE_ROW, Form, GROUP_HEADER, SECTOR, SEGMENT, SEGMENT_ROW, SLOT},
    scale, seed,
};

use super::{
    image::{Image, number},
    judge::{Copies, Harm, Tally, judge},
};

/// Of the places where every byte counts one in so many is changed, and of what lies between them; divided by the
/// scale. Which ones it is differs from log to log and from run to run. See [`small`](super::small) for all of them.
const DENSE: usize = 37;
const SPARSE: u64 = 3989;

/// Changes the bytes of a log, one at a time.
pub(crate) fn sweep(image: &Image) -> Tally {
    let mut tally = Tally::default();
    let scale = scale() as usize;
    let (dense_step, sparse_step) = ((DENSE / scale).max(1), (SPARSE as usize / scale).max(1));
    for (path, bytes) in &image.files {
        let len = bytes.len() as u64;
        let all_dense: BTreeSet<u64> = dense(image, path, bytes).into_iter().flatten().collect();
        let dense = all_dense
            .into_iter()
            .skip((image.left as usize * 5 + seed() as usize) % dense_step)
            .step_by(dense_step);
        let places: BTreeSet<u64> = (seed() % sparse_step as u64..len)
            .step_by(sparse_step)
            .chain(dense)
            .filter(|&at| at < len)
            .collect();
        for at in places {
            for way in 0..3 {
                change(image, path, at, way, &mut tally);
            }
        }
    }
    tally
}

fn change(image: &Image, path: &PathBuf, at: u64, way: usize, tally: &mut Tally) {
    let bytes = &image.files[path];
    let old = bytes[at as usize];
    let new = [old ^ 1 << (at % 8), 0, 0xff][way];
    if new == old {
        return;
    }
    let file = OpenOptions::new()
        .write(true)
        .open(image.place.root().join(path))
        .unwrap();
    file.write_all_at(&[new], at).unwrap();
    let pos = image.pos_of(path, at);
    let sector = at / SECTOR * SECTOR;
    let mut rest = bytes
        .iter()
        .skip(sector as usize)
        .take(SECTOR as usize)
        .copied()
        .enumerate();
    let is_zero = new == 0 && rest.all(|(i, byte)| byte == 0 || sector + i as u64 == at);
    let in_manifest = image.manifest() == *path && (pos.is_none());
    let mut harm = Harm::of(&format!("{} byte {at}: {old:#x} to {new:#x}", path.display()));
    harm.stream = pos.map(|pos| pos..pos + 1);
    harm.missing = pos.filter(|_| is_zero).map(|pos| {
        let sector = pos / SECTOR * SECTOR;
        sector..sector + SECTOR
    });
    harm.not_usable = image.is_only_ready(path);
    harm.staging = image.staging().as_ref() == Some(path);
    if in_manifest && used_by_manifest(bytes, at) {
        harm.manifest = Copies::One;
    }
    judge(image, &harm, tally);
}

/// Whether a byte belongs to one of the two copies.
fn used_by_manifest(bytes: &[u8], at: u64) -> bool {
    let len = u64::from(number(bytes, 20) as u32);
    at < 2 * SLOT && at % SLOT < len
}

/// Where every byte is changed: headers of files and groups, the manifest, the ends of frames, the first bytes after
/// the log.
fn dense(image: &Image, path: &PathBuf, bytes: &[u8]) -> Vec<Range<u64>> {
    let mut dense = Vec::new();
    if image.manifest() == *path {
        let len = u64::from(number(bytes, 20) as u32);
        dense.extend([0..len + 4, SLOT..SLOT + len + 4]);
    }
    if image.staging().as_ref() == Some(path) {
        dense.extend([0..64, 512..528, 1024..1040]);
        return dense;
    }
    let Some((index, _)) = image.segments().into_iter().find(|(_, segment)| segment == path) else {
        return dense;
    };
    let (row, first) = match image.place.form {
        Form::File => (FILE_ROW, 0),
        Form::Segmented => (SEGMENT_ROW, index * SEGMENT),
    };
    dense.push(row - SEGMENT_ROW..row - SEGMENT_ROW + 56);
    let mut add = |range: Range<u64>| {
        if let Some(start) = range.start.checked_sub(first) {
            dense.push(row + start..row + start + (range.end - range.start));
        }
    };
    for group in &image.groups {
        add(group.pos..group.pos + GROUP_HEADER);
        let mut pos = group.pos + GROUP_HEADER;
        while pos < group.pos + group.len {
            let word = number(&image.place.stream(pos, 8), 0) >> 32;
            let end = pos + (8 + (word & 0xfff_ffff)).next_multiple_of(8);
            add(pos..(pos + 16).min(end));
            add(end - 8..end);
            pos = end;
        }
        add(pos..pos + 2);
    }
    add(image.end()..image.end() + 8);
    dense
}
