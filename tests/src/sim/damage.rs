//! Damage of what was acknowledged: an error, or what was there before; never less, never something else.

use std::ops::AddAssign;

use wal_db::testing::sim::{Image, Medium, SECTOR, Step};

use super::{
    check::{self, Outcome},
    expect::{Expect, Known, Verdict},
    log::Opening,
};
use crate::{add_up, files::SLOT, random::Rng};

/// Damaged images of a moment.
const IMAGES: usize = 64;

/// What damage did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Damaged {
    /// Images that were damaged and opened.
    pub images: u64,
    /// Those that were refused, when they were opened or when they were read.
    pub refused: u64,
    /// Those that read as if nothing had happened: nobody needs the place.
    pub identical: u64,
    /// Those in which a zeroed sector of the very last flush, which nothing certified, reads as torn.
    pub torn: u64,
    /// Those that read with less than was acknowledged, or something else, and without an error; and those that were
    /// refused for one bad copy of the manifest.
    pub silent: u64,
}

impl AddAssign for Damaged {
    fn add_assign(&mut self, other: Damaged) {
        add_up! { self += other: images refused identical torn silent }
    }
}

/// Damages what is durable in some ways; returns what is wrong.
pub(super) fn sweep(
    medium: &Medium,
    expect: &Expect,
    earlier: &[&Step],
    opening: Opening,
    rng: &mut Rng,
    damaged: &mut Damaged,
) -> Vec<String> {
    let mut findings = Vec::new();
    if expect.durable_pos == 0 {
        return findings;
    }
    for _ in 0..IMAGES {
        let mut image = medium.after(&medium.any(&mut || rng.number()));
        if !opening.holds(&image, expect.durable_pos as usize) {
            // A disk that lies about its flushes; that is found out elsewhere.
            return findings;
        }
        let Some(what) = harm(&mut image, opening, expect, earlier, rng) else {
            damaged.silent += 1;
            findings.push("a log that is acknowledged has no manifest".to_owned());
            return findings;
        };
        damaged.images += 1;
        let outcome = check::look(image, opening);
        let verdict = match &outcome {
            Outcome::Refused(_) if what.may_be_refused => {
                damaged.refused += 1;
                continue;
            }
            Outcome::Refused(error) => format!("refused: {error}"),
            Outcome::Read(found) => match expect.judge(found) {
                Verdict::Kept => {
                    damaged.identical += 1;
                    continue;
                }
                Verdict::LostLast if what.reads_as_torn => match what.left(expect).judge(found) {
                    Verdict::LostLast => {
                        damaged.torn += 1;
                        continue;
                    }
                    _ => "groups before it are gone as well, and no error".to_owned(),
                },
                verdict => format!("{verdict:?}, and no error"),
            },
        };
        damaged.silent += 1;
        let (durable, certain) = (expect.durable_pos, expect.certain_pos);
        let what = what.name;
        findings.push(format!(
            "{what}; durable to {durable}, certain to {certain}: {verdict}"
        ));
    }
    findings
}

struct Harm {
    name: String,
    may_be_refused: bool,
    reads_as_torn: bool,
    /// Groups that end before here are whole.
    whole_to: usize,
}

/// Harms what is durable: a flipped bit, a zeroed sector, a copy of another sector, an earlier write that is back; or one
/// copy of the manifest, which the other one makes good.
fn harm(
    image: &mut Image,
    opening: Opening,
    expect: &Expect,
    earlier: &[&Step],
    rng: &mut Rng,
) -> Option<Harm> {
    let durable = expect.durable_pos as usize;
    // In a segment that was removed, because the head is after it, there is nothing to harm.
    let sector = |image: &Image, rng: &mut Rng| loop {
        let at = rng.below(durable / SECTOR) * SECTOR;
        if opening.holds(image, at + 1) {
            return at;
        }
    };
    let at = sector(image, rng);
    let (path, offset) = opening.locate(at);
    match rng.below(8) {
        0 if opening.locate_slot(0).is_some() => harm_slot(image, opening, rng),
        1..=2 => {
            let from = sector(image, rng);
            let (source, from_offset) = opening.locate(from);
            let bytes = image.file(source)?.part(from_offset, SECTOR);
            image.file_mut(path)?.write(offset, &bytes);
            let name = format!("the sector at {from} written to {at}");
            Harm::of(name, image, opening, at, expect)
        }
        3..=4 if !earlier.is_empty() => {
            let Step::Write { file, pos, bytes } = earlier[rng.below(earlier.len())] else {
                unreachable!("only writes are kept");
            };
            let Some(at) = opening.stream_pos(image, *file, *pos).filter(|at| *at < durable) else {
                return harm(image, opening, expect, &[], rng);
            };
            let len = bytes.len().min(durable - at);
            image.files.get_mut(file)?.write(*pos, &bytes[..len]);
            let name = format!("an earlier write to {at} is back");
            Harm::of(name, image, opening, at, expect)
        }
        kind => {
            let file = image.file_mut(path)?;
            let mut bytes = file.part(offset, SECTOR);
            let name = if kind % 2 == 0 {
                bytes.fill(0);
                format!("zeroed the sector at {at}")
            } else {
                bytes[rng.below(SECTOR)] ^= 1 << rng.below(8);
                format!("flipped a bit in the sector at {at}")
            };
            file.write(offset, &bytes);
            Harm::of(name, image, opening, at, expect)
        }
    }
}

fn harm_slot(image: &mut Image, opening: Opening, rng: &mut Rng) -> Option<Harm> {
    let which = rng.below(2);
    let (path, offset) = opening.locate_slot(which)?;
    let name = format!("harmed slot {which}");
    let file = image.file_mut(path)?;
    let mut bytes = file.part(offset, SLOT as usize);
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let zeroed = rng.below(2) == 0;
    if zeroed {
        bytes.fill(0);
    } else if used > 0 {
        bytes[rng.below(used)] ^= 1 << rng.below(8);
    }
    let len = bytes.len().min(file.len().saturating_sub(offset));
    file.write(offset, &bytes[..len]);
    Some(Harm {
        name,
        may_be_refused: false,
        reads_as_torn: false,
        whole_to: 0,
    })
}

impl Harm {
    /// Whatever it was: if the sector is zero now, it is as if it had never arrived.
    fn of(name: String, image: &Image, opening: Opening, at: usize, expect: &Expect) -> Option<Harm> {
        let (path, offset) = opening.locate(at);
        let sector = image.file(path)?.part(offset, SECTOR);
        let is_zero = sector.iter().all(|&byte| byte == 0);
        let uncertain = at as u64 >= expect.certain_pos;
        Some(Harm {
            name,
            may_be_refused: true,
            reads_as_torn: uncertain && is_zero,
            whole_to: opening.group_around(image, expect.certain_pos as usize, at),
        })
    }

    /// What has to be left if the place reads as torn: whatever lies in groups before it.
    fn left(&self, expect: &Expect) -> Expect {
        let before = |known: &&Known| known.lsn.is_some_and(|lsn| lsn.get() < self.whole_to as u64);
        let mut certain = expect.records.iter().take_while(before).count();
        // A batch is there as a whole or not at all.
        while certain
            .checked_sub(1)
            .is_some_and(|last| expect.records[last].more)
        {
            certain -= 1;
        }
        Expect {
            certain: certain.max(expect.certain),
            ..expect.clone()
        }
    }
}
