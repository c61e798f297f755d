//! Every image that a crash can leave of what a program did to its disk.

use std::path::Path;

use super::{
    content::mix,
    image::{Image, Step},
    medium::Medium,
};
use crate::{
    format::{FrameWord, staging::STAGING_HEADER_LEN},
    testing::CheckFailed,
};

/// How thoroughly [`check_crash_prefix`](super::check_crash_prefix) and
/// [`check_store_survives`](super::check_store_survives) look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrashPlan {
    /// The power is lost after every call that the program made to the disk. If no more than this many images can be
    /// left there, all of them are tried, otherwise this many.
    pub images_per_call: usize,
    /// Chooses those that are tried.
    pub seed: u64,
}

impl Default for CrashPlan {
    fn default() -> Self {
        CrashPlan {
            images_per_call: 64,
            seed: 1,
        }
    }
}

/// Shows `look` the images that can be left if the power is lost, or the process dies, after any call in the journal: each,
/// and how many marks come before it. What it says is wrong ends that.
pub(crate) fn every_crash(
    journal: &[Step],
    plan: CrashPlan,
    look: impl FnMut(Image, usize) -> Result<(), String>,
) -> Result<(), CheckFailed> {
    Crashes {
        journal,
        look,
        marks: 0,
    }
    .walk(plan)
}

struct Crashes<'a, L> {
    journal: &'a [Step],
    look: L,
    marks: usize,
}

impl<L: FnMut(Image, usize) -> Result<(), String>> Crashes<'_, L> {
    fn walk(&mut self, plan: CrashPlan) -> Result<(), CheckFailed> {
        let (mut medium, mut number) = (Medium::default(), plan.seed);
        let mut random = || {
            number = mix(number, 0x9E37_79B9_7F4A_7C15);
            number
        };
        for (at, step) in self.journal.iter().enumerate() {
            if let Step::Staging { path, bytes } = step {
                self.between(&medium, path, bytes, at)?;
            }
            medium.apply(step);
            if let Step::Mark(mark) = step {
                self.marks = mark + 1;
            }
            let mut failed = None;
            let some = plan.images_per_call;
            medium.arrivals(&mut random, some, some, |arrival| {
                if failed.is_none() {
                    let wrong = (self.look)(medium.after(arrival), self.marks);
                    failed = wrong.err().map(|wrong| {
                        let end = format!("the power was lost then; {}", medium.describe(arrival));
                        describe(&wrong, &steps(self.journal, at), &end)
                    });
                }
            });
            if let Some(failed) = failed {
                return Err(failed);
            }
            self.death(&medium, at)?;
        }
        Ok(())
    }

    fn death(&mut self, medium: &Medium, at: usize) -> Result<(), CheckFailed> {
        let Some(image) = medium.after_death() else {
            return Ok(());
        };
        let steps = || steps(self.journal, at);
        (self.look)(image, self.marks)
            .map_err(|wrong| describe(&wrong, &steps(), "the process was killed then"))
    }

    /// The process dies between two appends, which make no call to the disk.
    fn between(&mut self, medium: &Medium, path: &Path, after: &[u8], at: usize) -> Result<(), CheckFailed> {
        let before = medium.staged(path).unwrap_or_default().to_vec();
        for end in appended(&before, after) {
            let mut medium = medium.clone();
            let mut bytes = before.clone();
            bytes[..end].copy_from_slice(&after[..end]);
            medium.apply(&Step::Staging {
                path: path.to_owned(),
                bytes,
            });
            self.death(&medium, at)?;
        }
        Ok(())
    }
}

/// The last things that the program did.
fn steps(journal: &[Step], at: usize) -> String {
    let first = at.saturating_sub(40);
    let steps = journal[first..=at].iter().enumerate();
    steps
        .map(|(i, step)| format!("  {} {step}\n", first + i))
        .collect()
}

fn describe(wrong: &str, steps: &str, end: &str) -> CheckFailed {
    CheckFailed::one(format!(
        "{wrong}\nwhat the program did to the disk:\n{steps}{end}"
    ))
}

/// Where staging memory ended after each append but the last that was made since `before`. Nothing was written to the
/// disk in between, so what is new begins with the first frame that was not there.
fn appended(before: &[u8], after: &[u8]) -> Vec<usize> {
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let header = STAGING_HEADER_LEN as usize;
    if before.len() != after.len() {
        return Vec::new();
    }
    let changed = (header..after.len())
        .step_by(8)
        .find(|&at| word(before, at) != word(after, at));
    let Some(mut at) = changed else {
        return Vec::new();
    };
    let mut ends = Vec::new();
    while let Some(frame) = word(after, at)
        .filter(|word| *word != 0)
        .and_then(FrameWord::parse)
    {
        let end = at + frame.frame_len() as usize;
        if end > after.len() || before[at..end].iter().any(|byte| *byte != 0) {
            break;
        }
        at = end;
        if !frame.more {
            ends.push(at);
        }
    }
    ends.pop();
    ends
}
