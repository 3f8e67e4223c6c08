"""attacks.md 1a to 1c, and what of 1d comes from outside, with the tests that try it; a lost one is missed.

Where no test stands, the product has no such door yet, and the row says which.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
# By row: names of tests below `tests/`, as "file::name".
ATTACKS: dict[str, tuple[str, ...]] = {
    "1a: the author approves their own release": (
        "releases/test_deciding.py::test_the_author_cannot_decide_on_their_own_release",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
        "model/test_companies.py::test_whatever_people_do_the_product_answers_as_the_rules_say",
    ),
    "1a: last editor, committer or builder approves": (
        "releases/test_deciding.py::test_who_edited_the_content_cannot_approve_it",
        "releases/test_deciding.py::test_who_built_an_image_cannot_approve_it",
        "releases/test_builders.py::test_a_commits_address_is_matched_to_its_account",
        "releases/test_builders.py::test_an_image_that_names_its_builder_bars_them_whomever_the_author_names",
    ),
    "1a: a token of another, or of a bot, approves": (
        "releases/test_deciding.py::test_a_token_without_the_scope_decide_does_not_decide",
        "portal/people/test_tokens.py::test_scopes_are_cut_to_what_the_owner_may",
        "portal/people/test_tokens.py::test_a_secret_with_one_letter_changed_is_nobody",
    ),
    "1a: one person clicks twice": (
        "releases/test_deciding.py::test_one_person_decides_once_in_a_phase",
        "releases/test_races.py::test_one_person_through_two_doors_counts_once",
    ),
    "1a: one person counted in two groups or by two doors": (
        "approvals/test_matching.py::test_a_person_counts_once_however_often_they_are_named",
        "approvals/test_policy.py::test_one_person_alone_cannot_be_team_lead_and_infrastructure_senior_of_one_release",
        "releases/test_races.py::test_one_person_through_two_doors_counts_once",
    ),
    "1a: a role given for this one decision by the author": (
        "releases/test_deciding.py::test_a_role_that_the_author_granted_cannot_serve_the_release",
        "releases/test_delegated.py::test_a_delegation_that_the_author_made_for_the_occasion_is_worth_nothing",
    ),
    "1a: an approver loses the role before the start": (
        "releases/test_deciding.py::test_a_role_lost_after_deciding_reopens_the_review",
        "releases/test_life_after_approval.py::test_a_lost_role_is_noticed_before_the_next_wave",
        "releases/test_races.py::test_a_role_that_is_taken_away_at_the_same_moment_counts_before_or_after",
    ),
    "1a: a deactivated approver's session or token": (
        "releases/test_deciding.py::test_a_deactivated_approver_counts_no_more",
        "portal/people/test_pages.py::test_closing_the_account_ends_its_open_session",
        "portal/people/test_tokens.py::test_tokens_of_a_closed_account_are_dead",
    ),
    "1a: a removed member's older token": (
        "portal/people/test_tokens.py::test_scopes_shrink_with_a_role_that_was_lost",
        "portal/people/test_tokens.py::test_tokens_of_a_closed_account_are_dead",
    ),
    "1a: delegate of the author, loop, two hops, expired": (
        "releases/test_delegated.py::test_nobody_decides_for_the_author_nor_does_the_author_for_another",
        "portal/delegations/test_giving.py::test_loops_second_hops_and_repetitions_are_refused",
        "portal/delegations/test_rules.py::test_at_no_moment_is_there_a_loop_or_a_second_hop",
        "releases/test_delegated.py::test_before_its_time_and_after_it_a_delegation_is_worth_nothing",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
    ),
    "1a: rows edited past the portal, or by an admin site": (
        "portal/test_doors.py::test_no_address_of_the_admin_site_exists",
        "releases/test_backing.py::test_a_start_is_refused_where_the_rows_differ_from_the_record",
        "releases/test_backing.py::test_a_rejected_release_that_is_set_to_approved_does_not_start",
        "releases/test_backing.py::test_a_worker_pauses_before_the_wave_where_the_rows_differ",
    ),
    "1a: requirement count of 0, negative or boolean; an empty policy": (
        "approvals/test_policy.py::test_a_table_that_asks_for_less_than_one_person_or_for_nonsense_is_invalid",
        "approvals/test_requests.py::test_a_request_without_review_rows_is_never_approved",
        "approvals/test_policy.py::test_a_table_without_all_grades_is_invalid",
    ),
    "1a: a veto from outside the approvers is dropped": (
        "releases/test_deciding.py::test_anyone_who_sees_it_may_object_and_it_holds_a_d",
        "releases/test_deciding.py::test_an_objection_outlives_the_round_it_was_raised_in",
        "releases/test_backing.py::test_an_objection_that_was_made_to_vanish_still_holds_the_start",
    ),
    "1a: a chain that can never be met, then an emergency": (
        "releases/test_submitting.py::test_a_chain_that_nobody_can_fulfil_is_refused_with_the_missing_role",
        "approvals/test_policy_pages.py::test_a_new_gap_is_shown_first_and_told_once_to_administrators",
        "releases/test_submitting.py::test_an_emergency_nobody_can_review_goes_on_and_administrators_are_told",
    ),
    "1a: a role that skips the queue": (
        "releases/test_who_may.py::test_only_those_in_the_table_get_through_and_the_others_leave_one_entry",
        "approvals/test_proposals.py::test_the_author_and_administrators_have_no_way_around",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
    ),
    "1a: an approval under another's name": (
        "releases/test_api.py::test_fields_that_nobody_may_set_are_refused",
        "releases/test_delegated.py::test_a_name_that_gave_nothing_opens_nothing",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
    ),
    "1a: an approver named although nobody was asked": (
        "releases/test_emergencies.py::test_before_its_start_there_is_nothing_to_review",
        "releases/test_emergencies.py::test_it_closes_by_its_owed_review_and_not_before",
    ),
    "1b: content changed after the approval": (
        "releases/test_composing.py::test_sealed_content_that_changes_returns_to_draft_and_voids",
        "releases/test_races.py::test_one_after_the_other_explains_what_both_at_once_left",
        "model/test_companies.py::test_whatever_people_do_the_product_answers_as_the_rules_say",
    ),
    "1b: target environment or cluster changed after the approval": (
        "releases/test_places.py::test_a_catalog_that_repoints_the_cluster_holds_the_start_and_says_where_to",
        "releases/test_places.py::test_a_cluster_repointed_under_a_rollout_is_noticed_before_the_next_wave",
        "releases/test_composing.py::test_the_content_holds_target_and_steps_of_the_plan",
    ),
    "1b: the page shows one content, another is approved": (
        "releases/test_deciding.py::test_a_decision_on_another_content_is_stale",
        "releases/test_races.py::test_one_after_the_other_explains_what_both_at_once_left",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
    ),
    "1b: an image tag moved": (
        "releases/test_submitting.py::test_a_moved_tag_is_told_and_what_is_sealed_is_what_it_means_then",
        "portal/integrations/test_registry.py::test_a_moved_tag_means_the_new_digest",
        "rollouts/test_client.py::test_the_patch_names_the_version_the_containers_and_the_manager",
    ),
    "1b: same tag, other platform index": (
        "portal/integrations/test_registry.py::test_an_index_accepts_what_any_platform_may_report",
    ),
    "1b: a policy weakened for an open release": (
        "releases/test_submitting.py::test_the_rows_are_copied_and_outlive_a_change_of_the_policy",
        "approvals/test_proposals.py::test_two_signatures_put_it_into_force_for_what_is_submitted_later",
    ),
    "1b: rows of another release by their id": (
        "releases/test_deciding.py::test_a_decision_is_found_under_its_own_release_only",
        "releases/test_life_after_approval.py::test_a_check_is_answered_in_its_phase_and_under_its_release",
        "releases/test_evidence.py::test_only_who_may_see_the_release_gets_its_files_and_from_that_release_alone",
    ),
    "1b: grade lowered, facts hidden": (
        "releases/test_submitting.py::test_lowering_needs_a_reason_and_keeps_the_proposed_grades_approver",
        "releases/test_submitting.py::test_facts_are_judged_anew_so_that_a_new_version_cannot_hide_behind_an_old_claim",
        "releases/test_facts.py::test_what_the_catalog_says_a_new_version_touches_cannot_be_left_out",
    ),
    "1b: a D cut into three B": (
        "releases/test_facts.py::test_releases_of_one_team_within_a_day_look_like_one_and_the_record_keeps_it",
        "releases/test_facts.py::test_infrastructure_and_core_service_cut_apart_are_d_together",
    ),
    "1b: an unprotected twin of the environment": (
        "catalog/test_bad_files.py::test_one_namespace_belongs_to_one_environment",
        "catalog/test_bad_files.py::test_a_namespace_taken_in_an_earlier_load_is_taken",
    ),
    "1b: a check ticked by the author, evidence replaced": (
        "releases/test_life_after_approval.py::test_a_check_asks_for_its_role",
        "releases/test_evidence.py::test_evidence_is_not_replaced_once_somebody_has_signed_off",
    ),
    "1b: an approval replayed on equal content": (
        "approvals/test_requests.py::test_approving_one_request_says_nothing_about_another_with_equal_content",
    ),
    "1c: a start without, or with a part of, the approvals": (
        "releases/pipeline/test_events.py::test_a_tag_is_submitted_to_production_and_waits_for_its_approval",
        "releases/pipeline/test_events.py::test_no_event_passes_a_protected_environment_by_whatever_its_trigger_says",
        "releases/test_stations.py::test_an_environment_that_became_protected_starts_nothing_that_nobody_approved",
        "releases/test_life_after_approval.py::test_a_start_without_all_approvals_lists_the_open_rows",
        "releases/test_scheduling.py::test_what_is_not_approved_is_not_scheduled_and_says_what_is_missing",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
    ),
    "1d: an event replayed, from a wrong repository, a branch posing as a tag": (
        "releases/pipeline/test_events.py::test_a_delivery_that_comes_again_starts_nothing_more",
        "releases/pipeline/test_events.py::test_another_repository_branch_or_service_starts_nothing",
        "releases/pipeline/test_signatures.py::test_a_branch_that_is_called_like_a_tag_stays_a_branch",
        "releases/pipeline/test_signatures.py::test_an_old_event_and_one_from_the_future_are_refused",
    ),
    "1d: an event of many megabytes, deeply nested, unsigned, very often": (
        "releases/pipeline/test_events.py::test_a_large_body_is_refused_before_it_is_looked_at",
        "releases/pipeline/test_events.py::test_what_is_no_event_is_named_and_not_kept",
        "releases/pipeline/test_events.py::test_without_a_signature_nobody_learns_or_starts_anything",
        "releases/pipeline/test_events.py::test_too_many_from_one_address_are_asked_to_wait",
    ),
    "1c: a job forged for a release that is not approved": (
        "releases/test_backing.py::test_a_worker_pauses_before_the_wave_where_the_rows_differ",
        "releases/test_life_after_approval.py::test_a_lost_role_is_noticed_before_the_next_wave",
    ),
    "1c: a job forged to call another function": (
        "portal/test_jobs.py::test_an_entry_calls_the_runner_only",
        "portal/test_jobs.py::test_an_entry_brings_no_callback_of_its_own",
        "portal/test_jobs.py::test_the_runner_knows_marked_jobs_only",
    ),
    "1c: staff in the pages of the queue": (
        "portal/test_doors.py::test_no_address_of_the_admin_site_exists",
    ),
    "1c: approve and withdraw, approve and edit, at once": (
        "releases/test_races.py::test_an_approval_and_a_withdrawal_have_one_winner_in_the_end",
        "releases/test_races.py::test_one_after_the_other_explains_what_both_at_once_left",
    ),
    "1c: two last approvers at once, start pressed twice": (
        "releases/test_races.py::test_one_after_the_other_explains_what_both_at_once_left",
        "rollouts/test_api.py::test_a_second_start_is_refused",
    ),
    "1c: approvals that ended a second ago, a wrong clock": (
        "releases/test_races.py::test_a_start_at_the_moment_of_expiry_is_in_time_or_expired",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
        "portal/test_clock.py::test_nothing_that_decides_reads_the_clock_of_its_host",
        "portal/test_clock.py::test_a_host_clock_that_jumps_moves_no_time_of_ours",
    ),
    "1c: a superseded or withdrawn one started by an old link": (
        "releases/test_life_after_approval.py::test_a_superseded_release_is_not_started",
        "releases/test_deciding.py::test_a_superseded_release_says_which_one_replaced_it",
        "doors/test_refusals.py::test_both_doors_refuse_it_alike_and_write_one_line",
    ),
    "1c: who only looks presses stop, cancel, skip": (
        "rollouts/test_api.py::test_each_order_asks_for_its_own_right",
        "rollouts/test_orders_refused.py::test_a_refused_order_leaves_one_entry_and_no_order",
    ),
    "1c: a protection switched off for a moment": (
        "releases/test_freezes.py::test_stopping_is_wide_and_lifting_is_narrow",
        "approvals/test_proposals.py::test_two_signatures_put_it_into_force_for_what_is_submitted_later",
    ),
    "1c: a freeze passed by its zone": (
        "approvals/calendar/test_rules.py::test_a_moment_is_open_as_the_clocks_on_the_walls_say",
        "approvals/calendar/test_rules.py::test_monday_in_seoul_is_not_sunday_in_greenwich",
    ),
    "1c: a freeze passed by schedule, retry, resume or the API": (
        "releases/test_scheduling.py::test_a_freeze_that_came_meanwhile_gives_it_back_and_tells_why",
        "rollouts/test_freezes.py::test_what_stands_still_does_not_go_on_in_a_freeze",
        "rollouts/test_freezes.py::test_an_order_given_before_the_freeze_is_refused_when_its_turn_comes",
        "releases/test_freezes.py::test_a_freeze_of_what_it_touches_holds_the_start_by_name_reason_and_next_opening",
    ),
    "1c: E for ordinary work, never reviewed, closed by its author": (
        "releases/test_submitting.py::test_an_emergency_needs_its_incident_and_its_reason_and_no_approval_before",
        "releases/test_emergencies.py::test_who_started_it_does_not_review_it",
        "releases/test_reminders.py::test_an_owed_review_is_reminded_of_then_overdue_and_reaches_the_director",
        "releases/test_overdue_holds.py::test_every_door_says_what_holds_it_until_the_review_is_given",
    ),
    "1c: E changed while it rolls out": (
        "releases/test_life_after_approval.py::test_nobody_approves_or_edits_what_has_started",
        "releases/test_emergencies.py::test_it_starts_without_review_but_not_with_another_content",
    ),
    "1c: a rollback to what never ran": (
        "rollouts/test_client.py::test_the_way_back_is_one_conditional_patch",
        "rollouts/test_orders_refused.py::test_what_a_newer_release_has_replaced_is_not_rolled_back",
    ),
    "1c: a database restore hidden in a rollback": (
        "schedules/test_restoring.py::test_no_other_release_restores",
        "schedules/test_restoring.py::test_nobody_else_may_ask_or_start_through_any_door",
        "schedules/test_restoring.py::test_it_is_asked_twice_by_typing_the_services_name",
        "schedules/test_restoring.py::test_its_own_author_and_one_approval_less_start_nothing",
        "cluster/engine/test_restore.py::test_a_restore_with_the_rows_of_its_backup_succeeds_and_counts_as_a_recovery",
    ),
}
# Rows without a test, and why.
WITHOUT = {
    "1a: one human with two accounts": "there is no single sign-on yet, hence one account of a kind",
    "1b: an ambiguous Git ref, a force-push": "images alone are sealed; no Git repository is read yet",
}


@pytest.mark.parametrize("row", ATTACKS)
def test_every_row_has_its_tests(row: str) -> None:
    for place in ATTACKS[row]:
        file, _colons, name = place.partition("::")
        text = (TESTS / file).read_text()
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), place


def test_a_row_without_tests_says_why() -> None:
    assert not set(WITHOUT) & set(ATTACKS)
    within = [row for row in (*ATTACKS, *WITHOUT) if not row.startswith("1d")]
    assert len(within) == 18 + 13 + 16
