//! What can be forgotten by those who open or write a log.

use crate::seeded::{Bug, classic};

pub(super) const WRITING: &[Bug] = &[
    classic(
        "group-header-not-checked",
        "the checksum of a group's header is not compared",
        &["recovery::tail::a_flipped_bit_in_the_last_flush_is_found_in_every_byte"],
    ),
    classic(
        "content-not-checked-at-opening",
        "opening does not compare a group's content with the checksum in its header",
        &["recovery::tail::a_flipped_bit_in_the_last_flush_is_found_in_every_byte"],
    ),
    classic(
        "blocks-taken-for-unshared",
        "staging memory is mapped where its blocks can come to be shared",
        &["kernels::space::nobody_dies_of_a_full_disk_on_xfs"],
    ),
    classic(
        "boot-not-known-and-mapped",
        "staging memory is mapped where nobody can tell whether a dead process's is whole",
        &["recovery::staging::unmapped::a_log_is_written_through_where_nothing_tells_one_boot_from_another"],
    ),
    classic(
        "yields-for-ever",
        "whoever waits for an append never sleeps, so one of a lower priority never ends",
        &["recovery::staging::waiting::whoever_waits_for_a_long_append_sleeps"],
    ),
    classic(
        "holes-in-staging-memory",
        "a staging file is used again though it has lost blocks",
        &["kernels::space::staging_memory_with_holes_is_made_anew"],
    ),
    classic(
        "only-whole-steps-are-prepared",
        "a disk that has less left than is made ready at a time takes nothing",
        &["kernels::space::a_disk_without_space_for_staging_memory_is_left_as_it_was"],
    ),
    classic(
        "child-taken-for-its-parent",
        "a call in a forked child does not ask whose the log is",
        &["fork::calls::every_call_in_a_child_is_refused_and_changes_nothing"],
    ),
    classic(
        "numbers-not-wiped-in-children",
        "a forked child finds the limit of its parent's ring, and appends",
        &["fork::calls::every_call_in_a_child_is_refused_and_changes_nothing"],
    ),
    classic(
        "child-unmaps-what-is-not-its-own",
        "a forked child that drops a log unmaps what it has itself where its parent has staging memory",
        &["fork::others::a_child_opens_another_log_and_its_parents_once_that_is_closed"],
    ),
    classic(
        "thread-of-a-child-ends-as-others-do",
        "a thread of the log that a callback forked ends in the child by the standard library, whose lock may be held",
        &["fork::callbacks::a_child_that_comes_out_of_a_callback_into_a_thread_of_the_log_ends"],
    ),
    classic(
        "callbacks-called-in-a-child",
        "after a callback that forks, the child calls the others as well",
        &["fork::callbacks::of_callbacks_that_are_due_together_a_child_calls_no_other_one"],
    ),
    classic(
        "layers-taken-for-safe",
        "what lies below the layers of a container is taken for a file system that writes in place",
        &["kernels::space::a_log_in_layers_above_what_cannot_be_told_is_written_through"],
    ),
    classic(
        "limit-of-the-process-met-by-a-signal",
        "the limit on the length of files is not asked for before a file grows, and its signal ends the process",
        &["hostile::edges::lengths::a_log_under_a_limit_on_the_length_of_files_is_full_and_nobody_dies"],
    ),
    classic(
        "descriptor-of-the-output-taken",
        "a program that has closed its output prints into the log, which has its descriptor",
        &["hostile::edges::descriptors::what_a_program_prints_that_has_closed_its_output_is_not_in_the_log"],
    ),
    classic(
        "name-too-long-after-a-crash",
        "a log may have a name that leaves no room for that of what recovery keeps aside",
        &["hostile::edges::names::a_log_whose_name_is_as_long_as_it_can_be_opens_after_a_crash_as_well"],
    ),
    classic(
        "panic-dropped-where-nothing-holds",
        "what a callback panicked with is dropped in the flusher, and panics again",
        &["hostile::edges::callbacks::a_callback_whose_panic_panics_harms_nobody_else"],
    ),
    classic(
        "threads-of-logs-wait-for-each-other",
        "a callback that drops the last handle of another log waits for the thread of that log, which does the same",
        &[
            "hostile::edges::callbacks::callbacks_that_drop_each_others_last_handle_do_not_wait_for_each_other",
        ],
    ),
    classic(
        "shared-threads-never-end",
        "the threads that logs share are left when the last log is closed",
        &["concurrency::sharing::shared_threads_end_with_the_last_log_and_come_again_with_the_next"],
    ),
    classic(
        "pool-without-a-bound",
        "logs that share threads start as many as they want",
        &["concurrency::sharing::a_thousand_logs_are_served_by_four_threads"],
    ),
    classic(
        "child-uses-its-parents-pool",
        "a forked child waits for threads that are its parent's",
        &["fork::others::a_child_has_shared_threads_of_its_own"],
    ),
    classic(
        "callbacks-called-with-a-lock",
        "an appender of a schema calls the callbacks that its flush was for, while it has the lock of the schemas",
        &["hostile::edges::callbacks::no_callback_is_called_with_a_lock_that_it_may_want"],
    ),
    classic(
        "closed-handle-finds-damage",
        "an iterator of a closed handle calls damaged what the next handle has truncated",
        &["hostile::edges::closed::whoever_reads_on_after_closing_hears_of_no_damage"],
    ),
    classic(
        "unlistable-directory-without-a-reason",
        "a directory that may be searched and not listed is an uncategorized error",
        &["hostile::edges::permissions::whatever_is_forbidden_is_said_and_nothing_is_lost"],
    ),
    classic(
        "closure-of-any-log",
        "a closure of one log shuts every other log to its thread",
        &["concurrency::reentrant::another_log_can_be_used_inside_a_closure"],
    ),
    classic(
        "outer-closures-forgotten",
        "within closures of several logs only the innermost one is shut",
        &["concurrency::reentrant::closures_of_several_logs_stand_within_one_another"],
    ),
    classic(
        "foreign-segment-removed",
        "a segment is removed by its name, whatever log its header names",
        &["hostile::names::places::a_segment_of_another_log_is_never_removed"],
    ),
    classic(
        "memory-not-locked",
        "two logs write to one store in memory",
        &["hostile::names::stores::two_logs_never_write_to_one_store_in_memory"],
    ),
    classic(
        "memory-never-given-back",
        "a store in memory keeps what was removed before the head",
        &["hostile::names::stores::memory_is_given_back_when_the_start_of_a_log_is_removed"],
    ),
    classic(
        "kept-under-a-taken-name",
        "bytes that are kept aside go to a file that was there before",
        &["hostile::names::places::a_name_for_kept_bytes_that_something_has_is_left_alone"],
    ),
    classic(
        "frame-of-any-epoch",
        "the checksum of a frame leaves the epoch out",
        &["damage::epochs::a_record_of_an_older_epoch_inside_a_group_is_not_read"],
    ),
    classic(
        "epoch-not-checked-at-opening",
        "opening does not compare a group's epoch with the one that owns its place",
        &["damage::epochs::a_group_of_a_replaced_writer_is_not_read_in_place_of_another"],
    ),
    classic(
        "epoch-not-checked-in-reading",
        "reading does not compare a group's epoch with the one that owns its place",
        &["damage::epochs::a_group_of_an_older_epoch_in_a_closed_log_is_not_read"],
    ),
    classic(
        "chain-not-checked-at-opening",
        "opening does not compare a header with the digest of the group before it",
        &["damage::epochs::a_group_that_does_not_continue_the_one_before_it_refuses_the_log"],
    ),
    classic(
        "chain-not-checked-in-reading",
        "reading does not compare a header with the digest of the group before it",
        &["damage::files::a_segment_of_a_copy_that_went_another_way_is_never_read"],
    ),
    classic(
        "mark-not-checked",
        "the group in front of the place where a scan starts is not compared with what the manifest says of it",
        &["damage::files::another_newest_segment_is_refused_at_once"],
    ),
    classic(
        "short-log-accepted",
        "a log that ends before the place where a scan starts is opened",
        &["damage::files::a_closed_log_whose_end_is_missing_is_refused"],
    ),
    classic(
        "manifest-in-one-slot",
        "only one copy of the manifest is written, in turns, so the other one is of the past",
        &["damage::files::whichever_copy_of_the_manifest_is_damaged_a_cut_stays_a_cut"],
    ),
    classic(
        "manifest-not-flushed",
        "a copy of the manifest is written and not flushed",
        &["crashes::power::whatever_names_and_sectors_arrive_what_was_acknowledged_is_there"],
    ),
    classic(
        "watermark-not-carried",
        "headers do not say how far the log was durable",
        &["recovery::tail::a_zeroed_sector_of_the_last_flush_is_damage_once_it_is_certified"],
    ),
    classic(
        "later-headers-not-believed",
        "what a header behind damage says of durability is not looked at",
        &["recovery::tail::a_zeroed_sector_of_the_last_flush_is_damage_once_it_is_certified"],
    ),
    classic(
        "staging-watermark-ignored",
        "what staging memory says of durability is not looked at",
        &["recovery::staging::known::staging_memory_tells_that_the_last_flush_was_durable"],
    ),
    classic(
        "damage-of-this-boot-cut",
        "where staging memory is of this boot, damage of what was written out counts as a write that was interrupted",
        &["recovery::staging::known::damage_of_what_was_written_while_the_machine_was_up_is_refused"],
    ),
    classic(
        "mark-ahead-of-the-flush",
        "the manifest names a place to scan from that was written and not flushed",
        &["recovery::tail::the_place_to_scan_from_is_durable"],
    ),
    classic(
        "never-sealed",
        "no empty group says that the last flush was durable",
        &["recovery::tail::a_zeroed_sector_of_the_last_flush_is_damage_once_it_is_certified"],
    ),
    classic(
        "seal-not-flushed",
        "the group that certifies a flush is not flushed",
        &["durability::told::what_is_certified_stays_certified_when_the_power_goes"],
    ),
    classic(
        "certified-before-the-seal",
        "with certified durability, what the seal takes along counts as certified",
        &["durability::told::what_comes_while_a_flush_is_certified_is_not_certified_with_it"],
    ),
    classic(
        "torn-taken-for-damage",
        "a group of which sectors never arrived is damage",
        &["recovery::tail::any_sectors_of_an_unsynced_tail_may_be_lost"],
    ),
    classic(
        "damage-taken-for-torn",
        "a group with another content is one of which sectors never arrived",
        &["recovery::tail::a_flipped_bit_in_the_last_flush_is_found_in_every_byte"],
    ),
    classic(
        "read-error-is-the-end",
        "an error while reading reads as the end",
        &["durability::io::an_error_while_reading_is_an_error_value"],
    ),
    classic(
        "ticket-told-before-the-flush",
        "a ticket's callback runs when it is registered",
        &["durability::io::tickets_in_every_form_hear_of_a_failed_sync"],
    ),
    classic(
        "waiters-not-woken-by-a-failure",
        "those who wait for a flush sleep on when it fails",
        &["durability::told::whoever_waits_for_the_next_flush_hears_that_this_one_failed"],
    ),
    classic(
        "panic-in-the-store-ignored",
        "a panic in the store does not poison the log",
        &["concurrency::panics::a_panic_in_the_store_poisons_and_wakes_whoever_waits"],
    ),
    classic(
        "short-write-taken-for-all",
        "what a call did not write is not written by another",
        &["crashes::power::calls_that_are_interrupted_and_do_less_than_they_were_asked_to_are_made_again"],
    ),
    classic(
        "interrupted-write-fails",
        "a write that a signal interrupts is a failure",
        &["crashes::power::calls_that_are_interrupted_and_do_less_than_they_were_asked_to_are_made_again"],
    ),
    classic(
        "full-after-the-place-is-taken",
        "a record that is too long for the ring takes its place before it is known whether there is space",
        &["durability::io::a_full_disk_refuses_records_before_it_takes_them_and_works_again_later"],
    ),
    classic(
        "group-without-space-dropped",
        "a group for which the disk had no space is not written again",
        &["durability::io::a_write_that_finds_the_disk_full_keeps_what_was_staged"],
    ),
    classic(
        "ring-given-back-after-a-failed-write",
        "the ring is given back whether or not its bytes were written",
        &["crashes::calls::an_append_survives_the_process_when_writing_it_out_has_failed"],
    ),
    classic(
        "zeros-over-groups",
        "zeros are written ahead from where the last ones ended, and not from the end of the log",
        &["crashes::calls::zeros_that_are_written_ahead_cover_no_record"],
    ),
    classic(
        "staging-never-read",
        "staging memory says from the start that its log was closed",
        &["crashes::calls::a_process_that_dies_in_any_call_of_the_store_leaves_every_append"],
    ),
    classic(
        "grown-ring-keeps-its-header",
        "staging memory that has grown says that it is as short as before",
        &["recovery::staging::growth::a_process_that_dies_after_its_staging_memory_has_grown_loses_nothing"],
    ),
    classic(
        "staging-grows-whatever-has-its-name",
        "the file that has the name of staging memory becomes longer, whether or not it is mapped",
        &["recovery::staging::growth::staging_memory_whose_file_has_another_name_by_now_does_not_grow"],
    ),
    classic(
        "stale-staging-used",
        "staging memory of an earlier epoch counts as this log's",
        &["recovery::deaths::staging_that_is_lost_stale_or_not_ours_is_ignored_and_reported"],
    ),
    classic(
        "stale-boot-accepted",
        "staging memory from before the machine went down is as good as memory",
        &["recovery::deaths::an_unpublished_claim_becomes_a_void_and_what_follows_stays"],
    ),
    classic(
        "unpublished-claim-ends-recovery",
        "what stands behind a claim that was never published is not recovered",
        &["recovery::deaths::an_unpublished_claim_becomes_a_void_and_what_follows_stays"],
    ),
    classic(
        "batch-kept-in-part",
        "of a batch whose end is not in staging memory the beginning is kept",
        &["recovery::staging::known::a_batch_in_staging_memory_that_lost_its_end_is_left_out"],
    ),
    classic(
        "new-file-not-flushed",
        "a log of one file gets its name before its content is flushed",
        &["crashes::power::whatever_names_and_sectors_arrive_what_was_acknowledged_is_there"],
    ),
    classic(
        "new-segment-not-flushed",
        "a segment gets its name before its content is flushed",
        &["crashes::power::whatever_names_and_sectors_arrive_what_was_acknowledged_is_there"],
    ),
    classic(
        "cut-before-the-manifest-lets-go",
        "segments behind the end are removed while the manifest still promises them",
        &["crashes::calls::a_process_that_dies_in_any_call_of_the_store_leaves_every_append"],
    ),
    classic(
        "segment-used-before-it-is-named",
        "the manifest does not say which segments were made ready",
        &["damage::files::a_segment_that_is_missing_with_all_that_follow_it_is_named"],
    ),
    classic(
        "head-not-written",
        "removing old records is not written to the manifest",
        &["recovery::deaths::a_crash_after_truncate_before_opens"],
    ),
    classic(
        "one-segment-too-many-removed",
        "the segment in which the log begins is removed with those before it",
        &["recovery::deaths::a_crash_after_truncate_before_opens"],
    ),
    classic(
        "links-followed",
        "a link in place of a file is followed",
        &["hostile::strangers::a_link_a_pipe_a_socket_and_a_device_are_no_logs"],
    ),
    classic(
        "files-for-all",
        "new files can be read by everybody",
        &["hostile::strangers::new_files_are_for_their_owner_only"],
    ),
    classic(
        "full-said-of-what-was-taken",
        "a full disk that is found after a record was taken sounds as if it had not been",
        &[
            "durability::outcomes::full::a_ticket_a_sync_a_flush_and_a_close_of_a_full_disk_say_that_the_records_were_taken",
        ],
    ),
    classic(
        "doubt-about-what-was-not-taken",
        "a record that was never taken is called in doubt because an earlier one is",
        &["durability::outcomes::full::a_record_before_which_a_write_fails_was_not_taken"],
    ),
    classic(
        "lock-kept-by-a-clone",
        "a log that was closed stays locked as long as anything of it lives",
        &[
            "durability::outcomes::closed::a_closed_log_can_be_opened_while_a_clone_a_tail_an_iterator_and_a_ticket_live",
        ],
    ),
    classic(
        "closed-log-used",
        "a handle of a closed log still changes it, though another one has it open",
        &[
            "durability::outcomes::closed::a_closed_log_can_be_opened_while_a_clone_a_tail_an_iterator_and_a_ticket_live",
        ],
    ),
    classic(
        "idle-seal-only-by-the-flusher",
        "an idle log is not sealed if a caller made its last record durable",
        &["durability::outcomes::idle::an_idle_log_is_sealed_after_an_append_and_sync"],
    ),
    classic(
        "staging-not-named",
        "a manifest does not say that there is staging memory",
        &["recovery::staging::lost::staging_memory_that_is_gone_after_a_death_is_reported"],
    ),
    classic(
        "missing-staging-kept-quiet",
        "staging memory that is gone is not missed",
        &["recovery::staging::lost::staging_memory_that_is_gone_after_a_death_is_reported"],
    ),
    classic(
        "staged-records-behind-damage-dropped",
        "records that were only in staging memory are in no file after the log was cut at damage",
        &["recovery::staging::lost::staged_records_behind_a_cut_at_damage_are_kept_aside_and_counted"],
    ),
    classic(
        "tail-before-staged-records-not-rewritten",
        "recovery does not write again what was not flushed, if records of staging memory follow it",
        &[
            "recovery::staging::following::what_was_not_flushed_is_written_again_before_the_staged_records_that_follow_it",
        ],
    ),
];
