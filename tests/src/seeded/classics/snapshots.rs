//! What can be forgotten where states are kept in snapshots.

use crate::seeded::{Bug, classic};

pub(super) const SNAPSHOTS: &[Bug] = &[
    classic(
        "snapshot-of-what-may-be-lost",
        "a snapshot holds events that are not durable",
        &["state::snapshots::a_snapshot_holds_only_what_survives_power_loss"],
    ),
    classic(
        "snapshot-not-flushed",
        "a snapshot has its name before its bytes are durable",
        &["state::snapshots::power_loss_at_any_call_of_a_snapshot_leaves_a_prefix"],
    ),
    classic(
        "snapshot-of-another-log-used",
        "a state begins with a snapshot of another log, or of what was cut off",
        &["state::snapshots_refused::what_was_cut_off_is_in_no_state"],
    ),
    classic(
        "revision-not-compared",
        "a snapshot is used although `apply` means something else now",
        &[
            "state::snapshots_changed::a_state_whose_meaning_has_changed_is_found_by_its_revision_or_by_a_check",
        ],
    ),
    classic(
        "chunks-of-a-state-not-checked",
        "the bytes of a state are taken as they are",
        &["state::snapshots_refused::any_changed_byte_and_any_cut_means_the_one_before"],
    ),
    classic(
        "cut-beside-a-snapshot-not-seen",
        "a cut between reading a snapshot and the events after it is not seen",
        &["state::snapshots_changed::a_cut_while_a_snapshot_is_read_is_no_part_of_the_state"],
    ),
    classic(
        "compacted-to-the-newest",
        "a compaction leaves what the newest snapshot needs, and no more",
        &["state::snapshots_refused::a_log_without_its_beginning_and_without_a_snapshot_makes_no_state"],
    ),
    classic(
        "compacted-without-open-states",
        "a compaction does not ask a state that has no snapshot yet",
        &["state::snapshots_refused::a_log_keeps_what_a_state_with_less_than_two_snapshots_needs"],
    ),
    classic(
        "held-records-compacted",
        "a compaction drops what is held",
        &["state::snapshots_refused::what_is_held_is_not_compacted"],
    ),
    classic(
        "compacted-beside-a-cut",
        "a compaction goes by snapshots that were cut off meanwhile",
        &["state::snapshots_changed::a_compaction_drops_nothing_for_snapshots_that_are_cut_off_meanwhile"],
    ),
    classic(
        "snapshot-thread-left-alone",
        "the thread that makes snapshots does not end with the store",
        &["state::snapshots::a_store_that_goes_takes_its_thread_along"],
    ),
    classic(
        "backup-without-snapshots",
        "a backup of a compacted log has no snapshots",
        &["state::snapshots::a_backup_has_the_snapshots_that_it_needs"],
    ),
];
