//! Damage of what was acknowledged: an error, or what was there before; never less, never something else.

use std::ops::AddAssign;

use wal_db::WalConfig;

use super::{
    check::{self, Outcome},
    disk::{Image, SECTOR},
    expect::{Expect, Verdict},
    medium::Medium,
};
use crate::random::Rng;

/// Damaged images of a moment.
const IMAGES: usize = 24;

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
        self.images += other.images;
        self.refused += other.refused;
        self.identical += other.identical;
        self.torn += other.torn;
        self.silent += other.silent;
    }
}

/// Damages what is durable in some ways; returns what is wrong.
pub(super) fn sweep(
    medium: &Medium,
    expect: &Expect,
    config: WalConfig,
    rng: &mut Rng,
    damaged: &mut Damaged,
) -> Vec<String> {
    let mut findings = Vec::new();
    if expect.durable_pos == 0 {
        return findings;
    }
    for _ in 0..IMAGES {
        let mut image = medium.after(&medium.any(rng));
        let Some(what) = harm(&mut image, expect, rng) else {
            // A disk that lies about its flushes; that is found out elsewhere.
            return findings;
        };
        damaged.images += 1;
        let outcome = check::look(image, config);
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
                Verdict::LostLast if what.reads_as_torn => {
                    damaged.torn += 1;
                    continue;
                }
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
}

/// Flips a bit or zeroes a sector of what is durable, or harms one copy of the manifest, which the other one makes good.
fn harm(image: &mut Image, expect: &Expect, rng: &mut Rng) -> Option<Harm> {
    let in_slot = rng.below(8) == 0;
    let which = rng.below(2);
    let (bytes, at) = if in_slot {
        (&mut image.slots[which][..], 0)
    } else {
        let at = rng.below(expect.durable_pos as usize / SECTOR) * SECTOR;
        (image.row.get_mut(at..at + SECTOR)?, at)
    };
    let zeroed = rng.below(2) == 0;
    if zeroed {
        bytes.fill(0);
    } else {
        bytes[rng.below(bytes.len())] ^= 1 << rng.below(8);
    }
    let place = if in_slot {
        format!("slot {which}")
    } else {
        format!("the sector at {at}")
    };
    // A flip can leave nothing but zeros, too.
    let is_zero = bytes.iter().all(|&byte| byte == 0);
    Some(Harm {
        name: format!("{} {place}", if zeroed { "zeroed" } else { "a flipped bit in" }),
        may_be_refused: !in_slot,
        reads_as_torn: !in_slot && is_zero && at as u64 >= expect.certain_pos,
    })
}
