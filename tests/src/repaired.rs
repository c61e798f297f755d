//! Repairing a log, and taking it back.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use wal_db::recovery::{RecoveryReport, Repair, RepairStep, Touched};

use crate::files::{Place, assert_same_files};

/// How long a file is, with some of its bytes; `None` if it is not there.
type Part = Option<(u64, Vec<u8>)>;

/// What a repair may change, as it was.
pub struct Kept {
    before: BTreeMap<PathBuf, Vec<u8>>,
    touched: Vec<(Touched, Part)>,
    /// What got another name.
    renamed: Vec<(PathBuf, PathBuf)>,
}

impl Kept {
    /// What `repair` says that it touches.
    #[must_use]
    pub fn of(place: &Place, repair: &Repair) -> Kept {
        let touched = repair.touched().iter().map(|touched| {
            let bytes = fs::read(&touched.path).ok();
            let part = bytes.map(|bytes| {
                let len = bytes.len();
                let end = touched
                    .end
                    .map_or(len, |end| len.min(usize::try_from(end).unwrap()));
                let start = usize::try_from(touched.start).unwrap().min(end);
                (len as u64, bytes[start..end].to_vec())
            });
            (touched.clone(), part)
        });
        let renamed = repair.steps.iter().filter_map(|step| match step {
            RepairStep::SetAside { path, to, .. } => Some((path.clone(), to.clone())),
            _ => None,
        });
        Kept {
            touched: touched.collect(),
            renamed: renamed.collect(),
            before: place.bytes(),
        }
    }

    /// Takes it back, with nothing but what was kept: every byte is as it was.
    ///
    /// # Panics
    /// It is not.
    pub fn undo(self, place: &Place, what: &str) {
        for (was, is) in &self.renamed {
            // A segment may have its place.
            let _ = fs::remove_file(was);
            fs::rename(is, was).unwrap();
        }
        for name in place
            .bytes()
            .keys()
            .filter(|name| !self.before.contains_key(*name))
        {
            let path = place.root().join(name);
            if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
        for (touched, part) in &self.touched {
            let Some((len, bytes)) = part else { continue };
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&touched.path)
                .unwrap();
            file.write_all_at(bytes, touched.start).unwrap();
            file.set_len(*len).unwrap();
        }
        assert_same_files(&self.before, &place.bytes(), what);
    }
}

/// Repairs a log as planned, looks at it with `look`, and takes it back.
///
/// # Panics
/// The repair fails, what it has planned is not what it does, or taking it back gives other bytes.
pub fn repaired(place: &Place, what: &str, look: impl FnOnce(&Repair, &RecoveryReport)) {
    let before = place.bytes();
    let repair = match wal_db::recovery::repair(place.path()) {
        Ok(repair) => repair,
        Err(error) => panic!("{what}: no repair: {error:?}"),
    };
    assert_same_files(&before, &place.bytes(), &format!("{what}: planning"));
    let kept = Kept::of(place, &repair);
    let report = repair
        .clone()
        .apply()
        .unwrap_or_else(|error| panic!("{what}: {:?}: {error:?}", repair.steps));
    look(&repair, &report);
    kept.undo(place, what);
}
