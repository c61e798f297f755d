//! What published write-ahead logs got wrong, in this design.

use super::{Bug, bug};

pub(super) const MISTAKES: &[Bug] = &[
    bug(
        "acknowledged-before-the-flush",
        &[1],
        "the durable position moves when a flush begins, not when it ends",
        &["faults_io::tickets_in_every_form_hear_of_a_failed_sync"],
    ),
    bug(
        "failed-flush-forgotten",
        &[2],
        "the latch of the store does not close after an error",
        &["faults_io::a_failed_sync_is_never_tried_again_and_nobody_who_waits_hears_ok"],
    ),
    bug(
        "failed-flush-tried-again",
        &[2],
        "a flush that fails is tried once more, and then there is nothing left to flush",
        &["faults_io::a_failed_sync_is_never_tried_again_and_nobody_who_waits_hears_ok"],
    ),
    bug(
        "followers-of-a-failed-flush-hear-ok",
        &[3],
        "the durable position moves even if the flush fails, so whoever did not lead it is told that all is well",
        &["faults_io::a_failed_sync_is_never_tried_again_and_nobody_who_waits_hears_ok"],
    ),
    bug(
        "tickets-of-a-failed-flush-hear-ok",
        &[3],
        "who waits with a ticket is told Ok when the flush that covers it fails",
        &["faults_io::tickets_in_every_form_hear_of_a_failed_sync"],
    ),
    bug(
        "recovered-bytes-not-flushed",
        &[4, 22],
        "recovery writes the tail that it shows and does not flush it",
        &[
            "faults::what_recovery_shows_after_a_process_died_survives_the_power",
            "sim_test::no_power_cut_loses_or_invents_or_refuses_anything",
        ],
    ),
    bug(
        "recovered-bytes-not-rewritten",
        &[4],
        "recovery flushes the tail that it shows and does not write it again, though a failed flush may have marked it clean",
        &["faults::what_recovery_shows_after_a_process_died_survives_the_power"],
    ),
    bug(
        "older-segments-not-rewritten",
        &[5],
        "recovery writes and flushes what it shows of the newest segment only",
        &["sim_test::no_power_cut_loses_or_invents_or_refuses_anything"],
    ),
    bug(
        "cut-not-written",
        &[6],
        "a cut of the end, which is one write of the manifest here, is not written, whether or not it is at a boundary",
        &["faults_io::a_manifest_write_that_finds_the_disk_full_leaves_a_log_that_opens"],
    ),
    bug(
        "failed-cut-goes-on",
        &[7],
        "a cut whose write of the manifest failed does not poison the log, and what is appended next lies behind a cut \
         that half of the manifest knows of",
        &["faults_io::a_truncation_that_fails_is_done_or_not_done_and_nothing_is_acknowledged_behind_it"],
    ),
    bug(
        "cuts-at-damage",
        &[9],
        "opening cuts at the first damage, wherever it is",
        &["faults::a_flipped_bit_below_the_watermark_is_reported_and_nothing_changes"],
    ),
    bug(
        "last-damage-cut",
        &[10],
        "opening cuts damage behind which nothing says that it was durable",
        &["faults::a_flipped_bit_in_the_last_flush_is_found_in_every_byte"],
    ),
    bug(
        "limit-of-today-ends-the-log",
        &[12],
        "a record that is longer than what may be appended today ends the log",
        &["faults_strangers::the_stored_segment_size_wins_and_a_lower_limit_binds_new_records_only"],
    ),
    bug(
        "bad-manifest-starts-anew",
        &[13],
        "where both copies of the manifest, which says where the log begins, are damaged, a new log is made in place",
        &["faults_files::a_log_with_two_damaged_copies_of_the_manifest_is_refused_and_salvaged"],
    ),
    bug(
        "removed-before-the-head-moved",
        &[13],
        "segments are removed before the manifest says that the log begins behind them",
        &["faults_more::a_process_that_dies_in_any_call_of_the_store_leaves_every_append"],
    ),
    bug(
        "crashes-refused",
        &[14],
        "whatever lies behind the end is damage, also the second of two writes of which the first did not arrive",
        &["faults::any_sectors_of_an_unsynced_tail_may_be_lost"],
    ),
    bug(
        "group-at-any-place",
        &[15],
        "a group's header is as good in any other place",
        &["faults_hostile::payloads_that_hold_copies_of_the_log_are_never_resynchronised_into"],
    ),
    bug(
        "frame-at-any-place",
        &[16],
        "a frame is as good in any other place",
        &["faults_hostile::payloads_that_hold_copies_of_the_log_are_never_resynchronised_into"],
    ),
    bug(
        "damage-ends-iteration",
        &[17],
        "an iterator that meets damage, or the end of a file that was cut, ends",
        &["faults_files::a_file_cut_under_an_open_log_is_an_error_item"],
    ),
    bug(
        "length-on-disk-believed",
        &[18],
        "memory is taken for as many bytes as a header says that its group has",
        &["faults_hostile::a_group_that_claims_more_than_there_is_costs_no_more_than_there_is"],
    ),
    bug(
        "full-disk-kept-quiet",
        &[19],
        "what cannot be made ready on a full disk counts as ready",
        &["faults_io::a_full_disk_refuses_records_before_it_takes_them_and_works_again_later"],
    ),
    bug(
        "dropped-claim-stays",
        &[20],
        "a claim whose owner panics is never published",
        &["faults_panics::a_panic_in_the_closure_of_append_with_leaves_no_record_and_no_hole"],
    ),
    bug(
        "followers-see-what-is-not-durable",
        &[23],
        "followers are shown what is written",
        &["reading::a_follower_waits_for_durability_unless_it_asks_otherwise"],
    ),
    bug(
        "no-epoch-at-opening",
        &[24],
        "opening begins no epoch",
        &["faults_more::a_group_of_a_replaced_writer_is_not_read_in_place_of_another"],
    ),
    bug(
        "no-epoch-at-truncation",
        &[24],
        "a cut of the end begins no epoch",
        &["crashes::a_crash_after_truncate_after_keeps_the_cut_and_what_followed"],
    ),
    bug(
        "zeroed-header-is-the-end",
        &[25],
        "a header of zeros is the end, though the rest of its sector is there",
        &["faults::a_zeroed_header_in_a_sector_that_is_not_zero_is_damage"],
    ),
];
