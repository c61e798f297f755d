//! What can be forgotten where a log is followed, by a reader or for a state.

use crate::seeded::{Bug, classic};

pub(super) const PROJECTIONS: &[Bug] = &[
    classic(
        "follower-told-of-one-cut-alone",
        "a follower is not told of a second cut if nothing was appended after the first",
        &["reading::cuts::followers::a_second_cut_with_nothing_between_is_told_as_well"],
    ),
    classic(
        "projection-takes-what-it-has",
        "a state that began with a newer snapshot than its neighbour takes the events between them twice",
        &["state::projected::several_from_one_replay_begin_where_each_is"],
    ),
    classic(
        "projection-holds-nothing",
        "retention drops what a projection has not read",
        &["state::projected::retention_keeps_what_a_projection_has_not_read"],
    ),
    classic(
        "projection-keeps-what-was-cut-off",
        "a projection goes on after a cut with the events that are gone",
        &["state::projected::after_any_history_with_cuts_it_is_the_fold_of_what_is_left"],
    ),
];
