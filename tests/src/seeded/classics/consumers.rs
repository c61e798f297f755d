//! What can be forgotten where events are handed out by a consumer.

use crate::seeded::{Bug, classic};

pub(super) const CONSUMERS: &[Bug] = &[
    classic(
        "place-saved-before-what-it-rests-on",
        "where a consumer is is saved before what it emitted is durable, which is then lost for good",
        &["consumer::crashed::every_event_has_its_effect_once_whenever_the_power_is_lost"],
    ),
    classic(
        "emitted-at-each-attempt",
        "what is emitted for an event that is handled again is appended again",
        &["consumer::effects::what_is_emitted_is_there_once_and_says_what_it_is_from"],
    ),
    classic(
        "emitted-by-somebody-else",
        "what another consumer has emitted for an event counts as this one's",
        &["consumer::effects::another_consumer_emits_for_itself"],
    ),
    classic(
        "waiting-counts-as-handled",
        "an event that waits with a parked key counts as handled before others, and is never handed out",
        &["consumer::lanes::what_waits_with_a_parked_key_is_handled_after_a_retry_wherever_the_cursor_is"],
    ),
    classic(
        "retry-ends-the-wait-for-good",
        "a parked key does not wait any more after a retry, whether that has succeeded or not",
        &["consumer::poison::a_retry_that_fails_goes_on_waiting_from_there"],
    ),
    classic(
        "retry-goes-on-over-a-stop",
        "what waits with a parked key is handed out to its end although the consumer was stopped",
        &["consumer::poison::a_retry_ends_when_the_consumer_is_stopped_and_goes_on_later"],
    ),
    classic(
        "skip-takes-the-whole-record",
        "of a record that was split, all parts are passed over because of one",
        &["consumer::poison::one_part_of_a_record_that_was_split_is_skipped_alone_and_waits_alone"],
    ),
    classic(
        "letters-stay-after-a-move",
        "a key waits on although its consumer was taken back to before the event that could not be handled",
        &["consumer::places::what_was_put_away_after_the_place_is_handed_out_again"],
    ),
    classic(
        "parked-events-are-dropped",
        "retention keeps what a consumer has not come to, and not what waits before that",
        &["consumer::places::retention_keeps_what_a_consumer_has_not_read_whether_it_runs_or_not"],
    ),
    classic(
        "dropped-on-an-unflushed-place",
        "records are dropped because a consumer has read them, as it says in a file that was not flushed",
        &["consumer::crashed::what_retention_has_dropped_is_needed_by_no_consumer_after_a_power_loss"],
    ),
];
