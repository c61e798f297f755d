//! The simulated disk under the real log, for a few seconds; `--bin crash` goes on for as long as one likes.

use std::collections::BTreeMap;

use wal_tests::{
    scale,
    sim::{
        campaign::{self, Plan},
        log::Design,
        run::Run,
    },
};

const PLAN: Plan = Plan {
    seed: 20,
    images: 30_000,
    lies: false,
    design: Design::Ours,
    threads: 1,
};

#[test]
fn no_power_cut_loses_or_invents_or_refuses_anything() {
    let plan = Plan {
        images: PLAN.images * u64::from(scale()),
        ..PLAN
    };
    let figures = campaign::run(plan);
    assert!(figures.is_clean(), "{}", figures.findings.join("\n\n"));
    assert!(figures.images >= plan.images, "{figures:?}");
    assert!(figures.distinct > 1000 && figures.behind > 1000, "{figures:?}");
    assert!(figures.inside > 1000, "{figures:?}");
    assert!(figures.rotations > 3 && figures.removals > 0, "{figures:?}");
    let damaged = figures.damaged;
    assert!(
        damaged.refused > 100 && damaged.identical > 0 && damaged.torn > 0,
        "{damaged:?}"
    );
}

/// The campaign tells a log that keeps its promises from one that does not: this one reads damage as the end.
#[cfg(feature = "wal-db-1-1-0")]
#[test]
fn the_campaign_finds_what_wal_db_1_loses() {
    let figures = campaign::run(Plan {
        images: 2_000,
        design: Design::WalDb110,
        ..PLAN
    });
    assert!(figures.images >= 2_000, "{figures:?}");
    assert!(!figures.is_clean() && figures.damaged.silent > 0, "{figures:?}");
}

/// A run that never meets a full disk proves nothing about it.
#[test]
fn runs_meet_everything_that_can_be_met() {
    let mut met = BTreeMap::<String, u32>::new();
    for seed in 0..600 {
        let run = Run::record(seed, Design::Ours, false);
        assert_eq!(run.failure, None, "{}", run.trace(usize::MAX));
        for (_, what) in run.marks {
            let words = what.split(|c: char| c.is_ascii_digit()).next();
            *met.entry(words.unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    let all = [
        "create",
        "append",
        "append and sync",
        "batch",
        "sync",
        "flush",
        "truncate after",
        "truncate after nothing",
        "truncate before",
        "truncate before nothing",
        "close",
        "kill",
        "recover",
        "reopen",
        "sync failed",
        "append to a full disk",
        "batch to a full disk",
        "sync of a full disk",
        "refused",
        "close on a full disk",
        "kill on a full disk",
        "open on a full disk: opened",
    ];
    let missing: Vec<_> = all.iter().filter(|what| !met.contains_key(**what)).collect();

    assert!(missing.is_empty(), "{missing:?} of {met:#?}");
}

#[test]
fn the_campaign_sees_a_flush_that_does_nothing() {
    // A short run; in longer ones the log soon says itself what is gone, and all is refused.
    let figures = campaign::run(Plan {
        seed: 8,
        images: 2_900,
        lies: true,
        ..PLAN
    });
    assert!(figures.lost_last > 0 && figures.lost_earlier > 0, "{figures:?}");
    assert!(figures.refused > 0 && figures.damaged.silent > 0, "{figures:?}");
    let finding = &figures.findings[0];
    assert!(
        finding.contains("seed") && finding.contains("power lost behind step"),
        "{finding}"
    );
}
