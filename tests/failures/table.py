"""The failures that others met, and the seed's own defects: which test here holds each.

A row names its tests by node id, and in words the area that will hold what is not held yet.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One failure."""

    name: str
    tests: tuple[str, ...]
    later: str | None = None
    """What of it is not replayed yet, and in which area it will be; None: all of it is."""


ACCEPTANCE = "tests/acceptance/test_workflow.py::"
CRASHES = "tests/acceptance/test_crashes.py::"
STOPPING = "tests/acceptance/test_stopping.py::"
OUTAGES = "tests/acceptance/test_outages.py::"
INGEST = "tests/integration/test_ingest.py::"
GIT = "tests/integration/test_ingest_git.py::"
WEATHER = "tests/integration/test_worker_weather.py::"
PERMANENT = "tests/integration/test_worker_permanent.py::"
REPLACING = "tests/integration/test_worker_replacing.py::"
DRIFT = "tests/integration/test_worker_drift.py::"
BRAKE = "tests/unit/ledger/test_decide_brake.py::"
WINDOWS = "tests/unit/ledger/test_decide_windows.py::"

OTHERS = (
    Row(
        "an earlier window's end removed access that a later one needed",
        (
            "tests/property/test_worker_laws.py::"
            "test_access_at_an_instant_is_what_the_directory_in_force_says_of_it",
            "tests/property/test_worker_laws.py::"
            "test_windows_never_cut_each_other_however_they_lie",
            "tests/property/test_decide_laws.py::"
            "test_access_is_there_at_an_instant_exactly_when_some_window_covers_it",
            REPLACING + "test_two_windows_of_one_principal_and_policy_never_cut_each_other",
        ),
    ),
    Row(
        "an upgrade or rename lost pending revocations",
        (
            "tests/migrations/test_migrating.py::"
            "test_an_older_ledger_comes_up_with_every_row_and_every_guard",
            "tests/property/test_project_laws.py::"
            "test_the_projection_is_a_fresh_fold_of_the_events_and_a_rebuild_makes_it_again",
            WINDOWS + "test_a_spent_line_under_another_environments_name_is_marked",
        ),
        later="upgrades: a worker started on each released schema, every end still enforced",
    ),
    Row(
        "nine of ten batched events were dropped and success returned",
        (
            "tests/integration/test_store_append.py::"
            "test_one_bad_draft_fails_alone_wherever_it_stands",
            "tests/integration/test_store_append.py::"
            "test_of_a_thousand_with_some_bad_none_is_lost_and_none_doubled",
            WEATHER + "test_none_of_a_batch_is_lost_or_doubled_wherever_it_fails",
        ),
    ),
    Row(
        "accepted was taken as done",
        (
            WEATHER + "test_a_copy_whose_answer_got_lost_is_read_back_and_not_written_twice",
            WEATHER + "test_a_copy_that_was_never_made_is_not_believed",
            WEATHER + "test_a_removal_is_recorded_only_when_it_is_so",
            OUTAGES + "test_what_is_no_answer_of_awss_is_weather_and_what_it_did_is_looked_up",
            CRASHES + "test_killed_at_every_write_of_giving_and_of_taking_away_"
            "nothing_is_lost_or_doubled",
        ),
        later="simulation: an account that applies late, and reads that lag behind writes",
    ),
    Row(
        "throttled until the retries ran out, and access stayed",
        (
            WEATHER + "test_half_an_hour_of_throttling_loses_nothing_and_is_told",
            WEATHER + "test_three_steps_that_are_always_busy_hold_up_no_other",
            WEATHER + "test_grants_that_are_always_busy_hold_up_no_other_grant",
            "tests/integration/test_worker_patience.py::"
            "test_an_account_throttled_for_half_an_hour_delays_no_other_and_then_owes_nothing",
        ),
    ),
    Row(
        "tens of thousands expire together, or are overdue at a restart",
        (
            WEATHER + "test_what_comes_due_while_others_are_served_is_removed_between_two_steps",
            WEATHER + "test_removals_come_before_additions_and_before_reading_the_account",
        ),
        later="the worker at scale: 100,000 grants, 35,000 overdue, a cold start in bounded memory",
    ),
    Row(
        "one unreadable record stopped everything",
        (
            "tests/integration/test_store_unreadable.py::test_all_other_accounts_go_on",
            "tests/integration/test_worker_daemon.py::"
            "test_a_record_that_cannot_be_read_stops_additions_there_and_nothing_else",
            WEATHER + "test_an_account_whose_role_fails_stops_alone_and_no_other_keys_are_tried",
            STOPPING
            + "test_once_ends_with_0_when_every_account_is_done_and_with_1_when_one_is_not",
        ),
    ),
    Row(
        "hand changes blocked a removal, or what was gone already was retried for ever",
        (
            DRIFT + "test_a_user_deleted_by_hand_holds_up_no_removal",
            DRIFT + "test_a_user_deleted_and_made_anew_gets_nothing_unasked",
            DRIFT + "test_a_copy_and_a_policy_edited_by_hand_are_found_altered_and_left",
            DRIFT + "test_a_copy_taken_away_by_hand_is_found_missing_and_stays_away",
            CRASHES + "test_killed_while_it_takes_away_what_has_ended_"
            "the_next_worker_finds_it_gone_and_says_so",
            WEATHER
            + "test_a_removal_that_is_refused_is_told_at_once_and_done_when_the_right_is_back",
        ),
        later="guardrails: `settle` and `retry`, for accounts that are closed for ever",
    ),
    Row(
        "empty or partial input removed everyone",
        (
            BRAKE + "test_an_empty_directory_always_meets_it",
            BRAKE + "test_access_whose_file_is_gone_always_meets_it",
            BRAKE + "test_more_than_half_meets_it_once_five_would_end",
            INGEST + "test_an_error_anywhere_appends_nothing_at_all",
            GIT + "test_a_sibling_branch_is_refused",
            "tests/integration/test_cli_ingest.py::"
            "test_an_empty_directory_meets_the_brake_and_never_makes_a_ledger",
        ),
    ),
    Row(
        "a sync brought expired access back, or made it permanent",
        (
            GIT + "test_what_a_revert_brings_back_after_its_end_stays_over",
            GIT + "test_a_full_clone_goes_forward_and_never_back",
            WINDOWS + "test_a_line_whose_end_has_passed_is_spent_kept_or_removed_and_restored",
            "tests/property/test_decide_laws.py::"
            "test_an_identity_whose_end_has_passed_never_comes_back",
            ACCEPTANCE + "test_the_same_directory_again_appends_nothing_and_writes_nothing",
        ),
    ),
)
"""In the order of the list that the project was begun with."""

SEED = (
    Row(
        "the shipped example applied nothing, printed success and exited with 0",
        (
            "tests/failures/test_seed.py::"
            "test_the_shipped_example_is_refused_with_1_by_validate_and_by_ingest",
            "tests/unit/manifest/test_seed_example.py::"
            "test_the_seeds_example_is_refused_with_each_unknown_policy_at_its_place",
        ),
    ),
    Row(
        "PowerUserAccess of a temporary grant stayed for ever after clean-up",
        (
            ACCEPTANCE + "test_temporary_access_is_a_copy_that_ends_by_itself_and_no_attachment",
            ACCEPTANCE + "test_temporary_access_stands_at_the_last_look_before_its_end_and_is_gone_"
            "in_five_seconds",
        ),
    ),
    Row(
        "a failed AssumeRole wrote into the central account with default credentials",
        (
            STOPPING
            + "test_once_ends_with_0_when_every_account_is_done_and_with_1_when_one_is_not",
            ACCEPTANCE
            + "test_the_hubs_own_keys_reach_no_iam_and_every_account_is_entered_by_its_role",
            "tests/unit/aws/test_gate.py::"
            "test_a_role_that_refuses_closes_the_account_and_nothing_is_sent_to_iam",
            "tests/unit/aws/test_credentials.py::test_with_nothing_bound_nothing_is_signed",
        ),
    ),
    Row(
        "a permanent grant of managed policies alone was `not found`",
        (
            ACCEPTANCE + "test_a_policy_that_only_names_awss_own_is_attached_and_"
            "makes_no_policy_of_ours",
            PERMANENT + "test_a_policy_of_awss_own_alone_is_attached_and_detached",
        ),
    ),
    Row(
        "a line taken out never revoked",
        (
            ACCEPTANCE + "test_a_line_taken_out_ends_that_access_and_no_other",
            PERMANENT
            + "test_users_roles_and_groups_get_the_policy_attached_and_lose_it_with_their_line",
        ),
    ),
    Row(
        "two overlapping windows shared one inline name",
        (
            "tests/unit/ledger/test_decide_access.py::"
            "test_two_live_windows_never_share_a_name_in_iam",
            "tests/property/test_decide_laws.py::"
            "test_no_two_live_grants_of_one_person_carry_one_name",
        ),
    ),
    Row(
        "u@a.com and u@b.org were one user",
        (
            "tests/unit/manifest/test_principals.py::"
            "test_two_addresses_that_are_one_user_of_one_account_are_refused_once",
            "tests/unit/manifest/test_principals.py::test_addresses_of_two_teams_collide_too",
        ),
    ),
    Row(
        "a new policy version on every run, and failure at five",
        (
            ACCEPTANCE + "test_no_object_is_written_twice_but_what_was_extended",
            PERMANENT + "test_a_policy_is_changed_in_place_as_often_as_people_like",
            PERMANENT + "test_a_policy_that_says_the_same_in_other_words_makes_no_version",
        ),
    ),
    Row(
        "the last second of the day was lost",
        (
            "tests/unit/manifest/test_scalars.py::"
            "test_a_day_ends_with_the_first_instant_of_the_next",
            "tests/integration/test_worker_expiry.py::"
            "test_ana_keeps_access_up_to_the_last_second_and_not_one_more",
            "tests/property/test_manifest_meaning.py::"
            "test_a_day_ends_exactly_where_the_next_begins",
        ),
    ),
    Row(
        "`today` was the machine's local date",
        (
            "tests/failures/test_seed.py::"
            "test_what_a_day_is_hangs_on_the_settings_and_never_on_the_machines_own_zone",
            "tests/unit/manifest/test_limits.py::"
            "test_the_days_ahead_are_the_settings_and_counted_where_the_settings_say",
        ),
    ),
)
