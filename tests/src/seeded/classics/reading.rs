//! What can be forgotten by those who read a log: from beside its writer, from a position, over damage, and from outside.

use crate::seeded::{Bug, classic};

pub(super) const READING: &[Bug] = &[
    classic(
        "listing-taken-for-a-moment",
        "a segment that was made while the directory was listed is missing for a reader",
        &[
            "concurrency::readers::listing::segments_that_are_made_while_the_directory_is_listed_are_no_damage",
        ],
    ),
    classic(
        "content-not-checked-in-reading",
        "reading does not compare a group's content with the checksum in its header",
        &[
            "hostile::bytes::skip_bad_records_yields_each_damage_once_and_goes_on",
            "reading::policies::damage_of_the_log_is_never_skipped",
        ],
    ),
    classic(
        "codec-trusted-with-the-envelope",
        "an application's codec gets the buffer with the envelope in it",
        &["events::codecs::a_careless_codec_harms_no_record_and_panics_nowhere"],
    ),
    classic(
        "newtype-of-nothing-as-nothing",
        "`Ok(())` is printed as a variant without fields",
        &["events::explain::ten_thousand_events_print_as_their_types_would"],
    ),
    classic(
        "odd-keys-not-printed",
        "a record with a map whose keys are tuples does not print as JSON at all",
        &["events::json::a_map_whose_keys_json_does_not_have_is_a_list_of_pairs"],
    ),
    classic(
        "history-without-edges",
        "random records have few elements and hardly ever a number at the end of its type",
        &["evolution::finds::zero_and_the_ends_of_a_type_are_tried"],
    ),
    classic(
        "named-fields-by-position",
        "the kit reads fields by position in a format that has names",
        &["evolution::finds::histories_are_checked_in_every_format"],
    ),
    classic(
        "repeated-states-not-told-apart",
        "a program's lost events are hidden by a state that it had before",
        &["evolution::prefixes::a_promise_that_is_made_too_early_is_found_behind_a_state_that_repeats"],
    ),
    classic(
        "kit-without-dead-processes",
        "a program's replay is not tried on what a dead process leaves",
        &["evolution::prefixes::small_appends_that_belong_together_and_are_no_batch_are_found"],
    ),
    classic(
        "replay-goes-on-after-a-panic",
        "a replay whose conversion has panicked goes on after the record",
        &["evolution::finds::a_panic_in_a_conversion_ends_a_replay"],
    ),
    classic(
        "not-read-back",
        "an event is not read again although the handle says so",
        &["events::read_back::only_the_first_append_reads_and_in_a_debug_build_all_do"],
    ),
    classic(
        "first-event-not-read-back",
        "the first event of a type is appended although it cannot be read again",
        &["events::read_back::a_type_that_asks_what_comes_next_is_refused_at_its_first_append"],
    ),
    classic(
        "half-a-chunk-taken-for-a-whole",
        "what is read ahead is handed over though the store had less of it",
        &["reading::ahead::what_the_thread_cannot_read_the_replay_reads_itself"],
    ),
    classic(
        "chunks-handed-over-as-they-are-done",
        "a replay that decodes ahead hands over the events of a later chunk before those of an earlier one",
        &["events::decode_ahead_order::a_chunk_that_is_done_waits_for_those_before_it"],
    ),
    classic(
        "error-overtakes-what-was-read",
        "a replay that decodes ahead ends where the log does, without the events that are still being decoded",
        &["events::decode_ahead::an_error_of_the_store_and_a_panic_in_it_come_after_what_was_read"],
    ),
    classic(
        "panic-in-a-decoding-thread-is-an-end",
        "a conversion that panics in another thread ends a replay as the end of the log does",
        &["events::decode_ahead::a_panic_in_a_conversion_reaches_who_takes_the_events_and_ends_the_replay"],
    ),
    classic(
        "decoding-threads-left-behind",
        "the threads that decode for a replay do not end with it",
        &["events::decode_ahead::what_is_not_taken_is_bounded_and_goes_with_the_replay"],
    ),
    classic(
        "cursors-ignored",
        "what a cursor still needs is removed",
        &["reading::following::retention_drops_by_size_and_age_and_keeps_what_a_cursor_needs"],
    ),
    classic(
        "cut-schema-still-named",
        "the manifest goes on naming a schema that a cut of the end removed",
        &["evolution::schemas::a_schema_that_was_cut_off_is_written_again_by_the_next_process"],
    ),
    classic(
        "mark-passes-a-schema-that-is-not-told",
        "a manifest that is written while a schema is names neither the schema nor a place before it",
        &["evolution::schemas_edges::the_mark_does_not_pass_a_schema_that_is_being_written"],
    ),
    classic(
        "cut-schema-not-written-again",
        "a schema that a cut of the end removed counts as being there",
        &["evolution::schemas::a_schema_that_is_cut_off_is_written_again"],
    ),
    classic(
        "shapes-not-compared",
        "a type is not compared with its shape in the log",
        &["evolution::schemas::another_shape_of_the_same_version_is_refused_before_the_first_append"],
    ),
    classic(
        "older-version-read-as-todays",
        "an event of an earlier version is decoded as one of today's",
        &["events::typed::another_version_or_shape_is_not_read_as_this_one"],
    ),
    classic(
        "unknown-type-passed-over",
        "a replay passes over records of types that the program does not know, under every policy",
        &["reading::policies::by_default_the_first_record_that_cannot_be_read_ends_the_replay"],
    ),
    classic(
        "follower-passes-a-gap",
        "a follower of events goes on after a record that it could not read",
        &["events::reading::a_follower_stays_at_a_record_that_it_cannot_read"],
    ),
    classic(
        "unused-segments-missed",
        "a reader misses segments that were made ready and went when the log was closed",
        &["concurrency::readers::closing::segments_that_go_when_a_log_is_closed_are_not_missed"],
    ),
    classic(
        "followers-ask-for-names",
        "each look of a follower asks for the name of the next segment, and the log's writer waits",
        &["concurrency::readers::costs::who_follows_looks_for_no_name_before_the_log_comes_to_it"],
    ),
    classic(
        "end-of-a-segment-ends-a-look",
        "a follower that has come to the end of what it knows of does not ask whether there is more",
        &["concurrency::readers::following::a_log_without_staging_memory_is_followed_to_its_end"],
    ),
    classic(
        "removed-log-called-damaged",
        "a reader of a log that was removed takes the log that has its place for damage",
        &["concurrency::readers::hostile::a_log_that_is_made_anew_under_a_reader_is_another_one"],
    ),
    classic(
        "bad-copies-kept-quiet",
        "verify does not say that one of two copies is damaged",
        &["damage::judging::copies::a_log_that_lives_on_one_copy_of_two_says_so"],
    ),
    classic(
        "manifest-read-once",
        "a reader does not look at the manifest again before it calls something damage",
        &["concurrency::readers::interleaved::a_log_is_opened_and_read_whatever_its_writer_does_meanwhile"],
    ),
    classic(
        "staged-read-behind-a-gap",
        "a reader shows what was published behind a claim that is still open, and later what the claim was for",
        &["concurrency::readers::staged::a_reader_stops_at_a_record_that_is_being_appended"],
    ),
    classic(
        "readers-forget-schemas",
        "a reader that looks again beside a writer forgets the schemas that it saw since the manifest was written",
        &["evolution::schemas_edges::a_reader_keeps_the_schemas_that_it_has_seen"],
    ),
    classic(
        "cut-at-the-end-not-jumped",
        "a position in what was cut off is looked for as if it were there, if the log ends with the cut",
        &["reading::positions::cuts::every_position_in_a_cut_at_the_end_of_the_log_is_an_empty_range"],
    ),
    classic(
        "cut-that-ends-at-a-position-not-told",
        "a follower whose last record ended where the cut ends does not hear of it",
        &["reading::positions::cuts::a_follower_whose_last_record_ended_on_a_sector_hears_of_the_cut"],
    ),
    classic(
        "batch-goes-on-after-a-cut",
        "the last record before a cut inside a batch says that its batch goes on",
        &["reading::positions::cuts::the_last_record_before_a_cut_ends_its_batch"],
    ),
    classic(
        "ticket-of-a-cut-record-says-ok",
        "a ticket says that a record is durable that was cut off since",
        &["reading::positions::cuts::a_ticket_of_a_record_that_was_cut_says_so"],
    ),
    classic(
        "dropped-position-starts-at-the-head",
        "a position that was dropped from the beginning stands for the head, without a word",
        &["reading::positions::dropped::a_position_that_was_dropped_is_refused"],
    ),
    classic(
        "position-beyond-the-end-accepted",
        "a position after the end is taken, and what is appended before it is never shown",
        &["reading::positions::ends::a_position_after_the_end_is_refused"],
    ),
    classic(
        "damage-before-a-position-ends-the-walk",
        "a damaged record hides the intact ones after it in its group from who starts at one of them",
        &["reading::positions::damage::damage_before_a_position_does_not_concern_who_starts_there"],
    ),
    classic(
        "damage-hides-what-is-newer",
        "who reads backwards meets the damage of a group before its intact newer records",
        &[
            "reading::positions::damage::the_newest_records_come_before_the_damage_when_a_log_is_read_backwards",
        ],
    ),
    classic(
        "cursor-registered-beside-a-retention",
        "a cursor is registered between a retention's look at the cursors and its cut",
        &["reading::positions::waiting::a_cursor_that_was_registered_beside_a_retention_holds"],
    ),
    classic(
        "live-state-keeps-what-was-cut",
        "a state goes on with events that were cut off",
        &["reading::positions::live::a_state_whose_events_were_cut_off_is_folded_again"],
    ),
    classic(
        "state-misses-what-others-append",
        "a store decides on a state without the events that others have appended",
        &["state::threads::a_store_beside_cuts_is_the_fold_of_what_is_left"],
    ),
    classic(
        "state-that-panicked-is-shown",
        "a state whose apply panicked is used as if it were the fold of the log",
        &["state::answers::a_state_that_panicked_is_never_shown"],
    ),
    classic(
        "refusal-does-not-wait",
        "a decision is refused because of events that a power loss takes back",
        &["state::answers::what_an_answer_rests_on_survives_power_loss"],
    ),
    classic(
        "time-of-a-decision-goes-back",
        "a clock that is set back makes a decision earlier than the events that it rests on",
        &["state::answers::the_time_of_a_decision_is_not_before_that_of_any_event"],
    ),
    classic(
        "appends-between-decision-and-events",
        "another handle appends between the state that a decision sees and its events",
        &[
            "state::threads::a_store_beside_cuts_is_the_fold_of_what_is_left",
            "state::threads::answers_follow_from_the_log_in_its_order",
        ],
    ),
    classic(
        "records-not-counted-after-a-flush",
        "the tail forgets that records are counted when a group is cut off",
        &[
            "state::threads::a_store_beside_cuts_is_the_fold_of_what_is_left",
            "state::threads::answers_follow_from_the_log_in_its_order",
        ],
    ),
    classic(
        "records-not-counted-after-one-apart",
        "the tail forgets that records are counted when one has a group of its own",
        &["state::threads::a_store_beside_cuts_is_the_fold_of_what_is_left"],
    ),
    classic(
        "decided-without-what-waits",
        "a store decides without events that a full disk keeps in staging memory",
        &["durability::outcomes::full::no_state_is_made_on_a_full_disk_without_what_waits_to_be_written"],
    ),
    classic(
        "cut-not-counted",
        "a store hears nothing of a cut",
        &[
            "reading::positions::live::a_state_whose_events_were_cut_off_is_folded_again",
            "state::threads::a_store_beside_cuts_is_the_fold_of_what_is_left",
        ],
    ),
    classic(
        "half-a-history-folded",
        "a state is made of what is left of a log whose beginning was dropped",
        &[
            "reading::positions::live::a_state_that_missed_dropped_events_says_so_and_none_is_made_of_the_rest",
        ],
    ),
    classic(
        "backup-into-what-is-there",
        "a backup is written into a file or a directory that is there",
        &["concurrency::readers::backup::a_backup_overwrites_nothing_and_one_that_fails_leaves_nothing"],
    ),
    classic(
        "backup-not-checked",
        "a backup is not read again, so that a damaged record is copied in silence",
        &["concurrency::readers::backup::a_backup_overwrites_nothing_and_one_that_fails_leaves_nothing"],
    ),
    classic(
        "verify-of-what-is-gone",
        "verifying takes bytes that a truncation has given back meanwhile for damage",
        &["concurrency::readers::interleaved::a_log_is_verified_whatever_its_writer_does_meanwhile"],
    ),
    classic(
        "write-that-ends-called-damage",
        "a group is whole by the time that salvage asks whether it was, and was read before",
        &["damage::judging::halves::salvage_while_a_write_is_under_way_finds_no_damage"],
    ),
    classic(
        "salvage-looks-once",
        "what salvage finds half written is called damage",
        &["damage::judging::beside::salvage_beside_a_writer_finds_what_is_there_and_no_damage"],
    ),
    classic(
        "cut-group-continued-by-what-came-instead",
        "a group that was read and cut off since is to be continued by what came instead",
        &["damage::judging::beside::salvage_beside_a_writer_finds_what_is_there_and_no_damage"],
    ),
    classic(
        "epoch-of-a-lone-group-not-known",
        "without a manifest a group that leads into a missing file is not read",
        &["damage::judging::files::salvage_without_a_manifest_reads_a_group_that_goes_on_in_a_missing_file"],
    ),
    classic(
        "broken-rules-not-told",
        "what another implementation got wrong is intact to verify",
        &[
            "damage::judging::rules::what_another_implementation_got_wrong_is_found_by_verify_and_by_the_reader_of_the_document",
        ],
    ),
    classic(
        "wrong-pieces-kept-quiet",
        "what is wrong in a piece of a log that several threads verify is not looked at",
        &[
            "damage::judging::rules::what_another_implementation_got_wrong_is_found_by_verify_and_by_the_reader_of_the_document",
        ],
    ),
    classic(
        "later-segments-not-looked-at",
        "a file in the place of a later segment is met when it is too late to refuse the log",
        &["damage::judging::later::a_later_segment_that_is_somebody_elses_refuses_the_log_untouched"],
    ),
    classic(
        "short-read-is-the-end",
        "where a store reads less than it was asked for, the log ends",
        &["damage::judging::stores::a_store_that_reads_short_loses_nothing"],
    ),
    classic(
        "less-room-than-asked-taken",
        "a store that makes less room than it was asked for is asked for ever",
        &["damage::judging::stores::a_store_that_makes_less_room_than_it_was_asked_for_is_full"],
    ),
    classic(
        "kept-files-not-read",
        "nothing reads the files that keep what was cut off a log",
        &["damage::judging::kept::salvage_reads_what_was_cut_at_damage_with_its_lsns"],
    ),
    classic(
        "holes-are-read",
        "what was taken and never written is read to find the end of the log",
        &["damage::judging::holes::a_file_that_was_extended_by_much_is_not_read_through"],
    ),
    classic(
        "wrong-segment-hides-the-one-before",
        "records before a damaged segment are not read because a read reaches into it",
        &["reading::positions::damage::a_damaged_header_costs_no_record_of_the_segment_before"],
    ),
    classic(
        "position-of-another-log-accepted",
        "a stored position of another log is followed in this one",
        &["reading::positions::stored::a_position_of_another_log_is_refused_with_both_names"],
    ),
    classic(
        "position-of-another-history-accepted",
        "a stored position is followed in a copy of the log that has grown differently",
        &["reading::positions::stored::a_copy_that_was_restored_and_has_grown_differently_is_recognised"],
    ),
    classic(
        "position-at-the-end-not-told-of-a-cut",
        "a stored position at the end of the log does not hear of what was cut off there since",
        &["reading::positions::stored::every_cut_since_a_position_was_taken_is_told_and_none_before"],
    ),
    classic(
        "copied-under-any-name",
        "an event that is copied becomes one of another type that has its id",
        &[
            "events::families::a_record_of_a_type_that_the_log_knows_by_its_new_name_comes_in_if_the_program_says_so",
        ],
    ),
    classic(
        "copied-without-its-schema",
        "an event that is copied to another log comes without its shape",
        &["clients::calls::records_are_copied_byte_for_byte_with_their_schemas"],
    ),
    classic(
        "errors-without-a-path",
        "an error does not say which log it is about",
        &["durability::messages::damage_has_a_path_a_place_and_a_way_on"],
    ),
];
