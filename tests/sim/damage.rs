//! Damage of what was acknowledged: an error, or what was there before; never less, never something else.

use std::ops::AddAssign;

use wal_db::WalConfig;

use super::{
    check::{self, Outcome},
    disk::SECTOR,
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
    /// Those that read with less than was acknowledged, or something else, and without an error.
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
        let sector = rng.below(expect.durable_pos as usize / SECTOR);
        let Some(bytes) = image.row.get_mut(sector * SECTOR..(sector + 1) * SECTOR) else {
            // A disk that lies about its flushes; that is found out elsewhere.
            return findings;
        };
        let zeroed = rng.below(2) == 0;
        if zeroed {
            bytes.fill(0);
        } else {
            bytes[rng.below(SECTOR)] ^= 1 << rng.below(8);
        }
        damaged.images += 1;
        let uncertain = zeroed && (sector * SECTOR) as u64 >= expect.certain_pos;
        let outcome = check::look(image, config);
        match &outcome {
            Outcome::Refused(_) => damaged.refused += 1,
            Outcome::Read(found) => match expect.judge(found) {
                Verdict::Kept => damaged.identical += 1,
                Verdict::LostLast if uncertain => damaged.torn += 1,
                verdict => {
                    damaged.silent += 1;
                    let how = if zeroed { "zeroed" } else { "a bit flipped" };
                    findings.push(format!(
                        "silent: {verdict:?}: sector at {}, {how}; durable to {}, certain to {}",
                        sector * SECTOR,
                        expect.durable_pos,
                        expect.certain_pos
                    ));
                }
            },
        }
    }
    findings
}
