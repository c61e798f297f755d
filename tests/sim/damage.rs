//! Damage of what was acknowledged: an error, or what was there before; never less, never something else.

use std::ops::AddAssign;

use wal_db::WalConfig;

use super::{
    check::{self, Outcome},
    disk::{Image, SECTOR, Step},
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
    earlier: &[&Step],
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
        let Some(what) = harm(&mut image, expect, earlier, rng) else {
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

/// Harms what is durable: a flipped bit, a zeroed sector, a copy of another sector, an earlier write that is back; or one
/// copy of the manifest, which the other one makes good.
fn harm(image: &mut Image, expect: &Expect, earlier: &[&Step], rng: &mut Rng) -> Option<Harm> {
    let durable = expect.durable_pos as usize;
    if image.row.len() < durable {
        return None;
    }
    let sector = |rng: &mut Rng| rng.below(durable / SECTOR) * SECTOR;
    match rng.below(8) {
        0 => Some(harm_slot(image, rng)),
        1..=2 => {
            let (from, to) = (sector(rng), sector(rng));
            image.row.copy_within(from..from + SECTOR, to);
            Some(Harm::of(
                format!("the sector at {from} written to {to}"),
                image,
                to,
                expect,
            ))
        }
        3..=4 if !earlier.is_empty() => {
            let Step::Write { pos, bytes } = earlier[rng.below(earlier.len())] else {
                return None;
            };
            let at = *pos as usize;
            let len = bytes.len().min(durable.saturating_sub(at));
            image.row[at.min(durable)..][..len].copy_from_slice(&bytes[..len]);
            Some(Harm::of(
                format!("an earlier write to {at} is back"),
                image,
                at,
                expect,
            ))
        }
        kind => {
            let at = sector(rng);
            let bytes = &mut image.row[at..at + SECTOR];
            let name = if kind % 2 == 0 {
                bytes.fill(0);
                format!("zeroed the sector at {at}")
            } else {
                bytes[rng.below(SECTOR)] ^= 1 << rng.below(8);
                format!("flipped a bit in the sector at {at}")
            };
            Some(Harm::of(name, image, at, expect))
        }
    }
}

fn harm_slot(image: &mut Image, rng: &mut Rng) -> Harm {
    let which = rng.below(2);
    let bytes = &mut image.slots[which];
    match rng.below(2) {
        0 => bytes.fill(0),
        _ => {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
    }
    Harm {
        name: format!("harmed slot {which}"),
        may_be_refused: false,
        reads_as_torn: false,
    }
}

impl Harm {
    /// Whatever it was: if the sector is zero now, it is as if it had never arrived.
    fn of(name: String, image: &Image, at: usize, expect: &Expect) -> Harm {
        let sector = image.row.get(at..at + SECTOR);
        let is_zero = sector.is_some_and(|sector| sector.iter().all(|&byte| byte == 0));
        let uncertain = at as u64 >= expect.certain_pos;
        Harm {
            name,
            may_be_refused: true,
            reads_as_torn: uncertain && is_zero,
        }
    }
}
