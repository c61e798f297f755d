//! Operations that the fuzzer chooses, on the simulated disk.

use crate::{
    random::Rng,
    sim::{campaign, log::Design, run::Run},
};

/// Longer inputs only make longer runs, and every step of a run is a crash point.
const MAX: usize = 64;

/// Does what the input says, in the words of [`Run`], and loses the power after every step: every crash image keeps the
/// promises of [`sim`](crate::sim).
pub fn operations(input: &[u8]) {
    if input.len() > MAX {
        return;
    }
    let figures = campaign::check(&Run::of(Rng::chosen(input), 0, Design::Ours, false));
    assert!(figures.is_clean(), "{}", figures.findings.join("\n"));
}

/// Runs of each kind: how the log is opened, how many steps, which ones.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let numbers = |numbers: &[u16]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut seeds: Vec<Vec<u8>> = vec![Vec::new()];
    for (i, step) in [0, 10, 13, 16, 22, 24, 27, 29, 30, 31].into_iter().enumerate() {
        // Without moods of the disk; every form, staging and durability comes up; four steps.
        let opened = [1, i as u16 % 8, i as u16 % 4, i as u16 / 2 % 2, 1, 0];
        let append = [9, 0, 3, 50, 1];
        seeds.push(numbers(
            &[&opened[..], &append, &append, &[9, step], &[2; 4], &[9, 16]].concat(),
        ));
    }
    seeds
}
