//! What can be forgotten where events are found by an index, and appended under conditions.

use crate::seeded::{Bug, classic};

pub(super) const INDEX: &[Bug] = &[
    classic(
        "batch-is-noted-as-its-first",
        "the index is told of the first record of a batch, and not of the others",
        &["index::queries::what_is_selected_is_what_a_scan_finds"],
    ),
    classic(
        "what-came-since-is-not-looked-at",
        "a condition is looked at before others wait, and not once more when they do",
        &["index::conditions::threads_append_only_what_nothing_has_come_between"],
    ),
    classic(
        "what-was-seen-before-holds",
        "what a condition is about had not come before others had to wait, and is not compared with what has come since",
        &["index::conditions::what_came_while_one_waited_for_others_is_looked_at"],
    ),
    classic(
        "only-the-newest-events-are-seen",
        "a condition holds because the newest events, which are in memory, do not break it",
        &["index::conditions::threads_append_only_what_nothing_has_come_between"],
    ),
    classic(
        "what-was-dropped-counts-as-read",
        "a condition holds although what it is about was dropped before anybody looked",
        &["index::conditions::what_nobody_can_know_any_more_is_truncated_and_no_yes"],
    ),
    classic(
        "what-was-cut-off-still-counts",
        "an event that was cut off is in the way of a decision, for ever",
        &["index::queries::what_is_selected_is_what_a_scan_finds"],
    ),
    classic(
        "decided-on-what-was-cut-off",
        "a decision is appended although what it was made from was cut off meanwhile",
        &["index::decisions::a_decision_on_events_that_are_cut_off_meanwhile_is_told"],
    ),
    classic(
        "conflict-does-not-wait",
        "a conflict is told before the event that it is about is durable",
        &["index::conditions::what_a_refusal_rests_on_is_durable_when_it_is_told"],
    ),
    classic(
        "refusal-of-a-query-does-not-wait",
        "a refusal is told before the events are durable that it rests on",
        &["index::decisions::what_a_decision_without_events_rests_on_is_durable_when_it_is_told"],
    ),
    classic(
        "folded-again-from-the-beginning",
        "when something has come between, a model takes in what it has a second time",
        &["index::decisions::a_decision_gets_through_however_often_others_come_between"],
    ),
    classic(
        "what-has-come-is-not-decided-on",
        "a decision is appended although an event of its queries came meanwhile",
        &["index::decisions::a_decision_gets_through_however_often_others_come_between"],
    ),
    classic(
        "entity-has-events-of-another",
        "an event of a decision that is in another stream is applied to the entity that was decided on",
        &["index::entities::an_entity_is_the_fold_of_its_stream_whatever_happens"],
    ),
    classic(
        "entity-has-what-was-cut-off",
        "an entity in memory keeps what was cut off the end of the log",
        &["index::entities::an_entity_is_the_fold_of_its_stream_whatever_happens"],
    ),
    classic(
        "half-changed-entity-is-kept",
        "an entity whose state panicked is not folded again",
        &["index::entities_failing::a_state_that_panics_is_told_and_folded_again"],
    ),
    classic(
        "entity-without-its-beginning",
        "an entity is made from what is left of a log whose beginning was dropped",
        &["index::entities::an_entity_is_the_fold_of_its_stream_whatever_happens"],
    ),
    classic(
        "entity-has-what-was-dropped",
        "an entity in memory has events that were dropped, and one that is folded has not",
        &["index::entities::entities_of_a_log_without_its_beginning_are_refused_unless_that_is_allowed"],
    ),
    classic(
        "who-has-an-entity-asks-for-another",
        "code of the program that runs while an entity is locked can ask for one, and waits for itself",
        &["index::entities_failing::events_that_use_entities_when_they_are_dropped_wait_for_nothing"],
    ),
    classic(
        "half-a-fold-rests-on-nothing",
        "an answer is told before the events are durable that were read before one that could not be",
        &[
            "index::entities_failing::what_was_taken_in_before_an_event_that_could_not_be_read_is_durable_when_it_is_told",
        ],
    ),
    classic(
        "one-entity-for-two",
        "an entity that was put out of memory is the one that came in its place",
        &["index::entities::an_entity_is_the_fold_of_its_stream_whatever_happens"],
    ),
    classic(
        "entities-in-use-go",
        "entities go from memory in the order in which they came, also if they are in use",
        &["index::entities::as_many_are_in_memory_as_there_may_be_and_those_in_use_stay"],
    ),
    classic(
        "index-misses-what-came-while-it-read",
        "what others append while a log is indexed is in no part of the index",
        &["index::conditions::what_is_appended_while_the_log_is_read_is_in_the_index"],
    ),
    classic(
        "run-of-another-history-is-used",
        "a run is used that was made of another log, or before an older copy came back",
        &["index::files::runs_of_another_log_are_left_alone_and_those_of_another_history_are_not_used"],
    ),
    classic(
        "merge-loses-an-event",
        "an event of two runs is not in the one that they are merged to",
        &["index::files::whatever_copy_of_the_log_comes_back_all_of_it_is_found"],
    ),
];
