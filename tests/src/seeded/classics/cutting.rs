//! What can be forgotten where records are dropped at either end, and where something runs out.

use crate::seeded::{Bug, classic};

pub(super) const CUTTING: &[Bug] = &[
    classic(
        "file-that-cannot-be-made-poisons",
        "a segment that cannot be made for want of a descriptor poisons the log",
        &[
            "durability::limits::moments::a_segment_that_cannot_be_made_for_a_moment_refuses_the_record_and_no_more",
        ],
    ),
    classic(
        "unflushed-files-without-end",
        "every segment that was written stays open until somebody asks for a flush",
        &["durability::limits::moments::few_files_wait_for_their_flush_and_every_one_is_flushed"],
    ),
    classic(
        "flush-after-a-failed-one-of-a-write",
        "a flush that a write made has failed, and the next one says that all is durable",
        &["durability::limits::moments::a_failed_flush_of_a_write_is_heard_by_the_next_sync"],
    ),
    classic(
        "everything-prepared-in-one-turn",
        "whoever waits for space waits until all segments ahead are made",
        &["durability::limits::moments::an_append_waits_for_few_segments_and_a_close_removes_few"],
    ),
    classic(
        "close-fails-after-all-is-durable",
        "closing fails because a file cannot be removed that nobody needs",
        &["durability::limits::moments::closing_is_done_when_all_is_durable_whatever_cannot_be_removed"],
    ),
    classic(
        "failed-flush-on-a-full-disk-is-none",
        "a flush that fails while a log is closed is taken for space that is missing",
        &[
            "durability::limits::moments::whatever_flush_fails_while_a_log_is_closed_is_heard_on_a_full_disk_as_well",
        ],
    ),
    classic(
        "not-durable-is-always-a-full-disk",
        "a record that waits for a descriptor is said to wait for space on the disk",
        &["durability::limits::moments::a_group_whose_segment_cannot_be_opened_waits_and_is_there_once"],
    ),
    classic(
        "cut-behind-a-schema",
        "the end of a log is cut from a schema, which is no record",
        &["reading::cuts::kinds::nothing_is_cut_after_or_from_a_schema"],
    ),
    classic(
        "durable-cut-in-doubt",
        "a cut that is durable is reported as a failure",
        &["reading::cuts::failing::a_cut_is_done_when_one_copy_of_the_manifest_says_so"],
    ),
    classic(
        "cut-bytes-counted",
        "retention by size counts bytes that were cut off",
        &["reading::cuts::retention::bytes_that_were_cut_off_do_not_count"],
    ),
    classic(
        "limit-counts-what-is-durable",
        "retention by size counts from the durable end",
        &["reading::cuts::retention::a_limit_holds_beside_appends_that_nobody_syncs"],
    ),
    classic(
        "age-found-by-bisection",
        "retention by age bisects over times that are not sorted",
        &[
            "reading::cuts::retention::what_is_an_hour_old_stays_although_the_clock_was_a_year_back_in_between",
        ],
    ),
    classic(
        "schemas-held-to-the-record-limit",
        "a schema is refused because records may not be so long",
        &["reading::cuts::kinds::schemas_are_not_held_to_the_limit_of_records"],
    ),
    classic(
        "forgotten-epoch-hides-a-schema",
        "a schema whose epoch the timeline has forgotten is called damage",
        &["reading::cuts::openings::a_typed_log_that_was_opened_two_thousand_times_is_read_and_appended_to"],
    ),
    classic(
        "group-before-the-first-one-read",
        "whether a schema's group is of the log is asked of the one before it, which went with what was dropped",
        &["reading::cuts::straddling::a_schema_in_the_last_group_is_read_when_the_group_before_it_is_gone"],
    ),
    classic(
        "repair-reads-what-was-dropped",
        "a log cannot be cut at damage, because a schema is looked for in what was dropped",
        &["reading::cuts::straddling::a_log_is_cut_at_damage_where_the_last_schema_was_the_first_one"],
    ),
    classic(
        "schema-needs-a-header-that-is-gone",
        "a schema whose epoch is forgotten cannot be read if the header of its group went with what was dropped",
        &["reading::cuts::straddling::a_schema_in_the_rest_of_a_group_is_read_when_its_epoch_is_forgotten"],
    ),
    classic(
        "chain-of-rebuilt-headers",
        "the chain compares the checksum of what a header was understood to say, not of its bytes",
        &["reading::cuts::chain::a_header_that_leaves_a_distance_unknown_is_continued"],
    ),
    classic(
        "acknowledged-places-used-again",
        "after a cut at damage the log goes on at the damage, with LSNs that were acknowledged before",
        &["reading::cuts::damage::the_lsns_of_what_was_cut_at_damage_are_not_used_again"],
    ),
    classic(
        "no-table-of-cuts",
        "a log takes as many cuts of its end as its manifest has room for, and no more",
        &["reading::cuts::many::a_log_takes_more_cuts_than_a_manifest_has_room_for"],
    ),
    classic(
        "table-over-the-one-in-use",
        "a new table of cuts is written over the copy that the manifest names, whichever is left",
        &["reading::cuts::many::a_table_is_never_written_over_the_only_good_one"],
    ),
    classic(
        "table-not-flushed",
        "a manifest names a table of cuts that was not flushed",
        &["reading::cuts::many::a_table_is_durable_before_a_manifest_names_it"],
    ),
    classic(
        "foreign-table-overwritten",
        "somebody else's file under the name of the table of cuts is overwritten",
        &["reading::cuts::many::a_foreign_file_under_the_name_of_the_table_is_not_touched"],
    ),
    classic(
        "salvage-leaves-schemas-out",
        "salvage begins at the head, and the schemas of what it finds lie before it",
        &["reading::cuts::straddling::salvage_hands_out_the_schemas_before_the_head"],
    ),
    classic(
        "head-in-what-was-cut",
        "a log that is cut from its first record on keeps that place as its head",
        &["reading::cuts::from::a_log_that_was_cut_from_its_first_record_is_empty_and_goes_on"],
    ),
];
