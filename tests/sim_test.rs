//! The simulated disk under the real log, for a few seconds; `--bin crash` goes on for as long as one likes.

use wal_tests::{
    scale,
    sim::{
        campaign::{self, Plan},
        log::Design,
    },
};

const PLAN: Plan = Plan {
    seed: 1,
    images: 20_000,
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
    assert!(figures.distinct > 1000 && figures.second > 1000, "{figures:?}");
    let damaged = figures.damaged;
    assert!(
        damaged.refused > 100 && damaged.identical > 0 && damaged.torn > 0,
        "{damaged:?}"
    );
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
