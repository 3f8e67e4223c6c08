"""The table of states: whole, and drawn by shapes that exist."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.utils import translation

from portal.ui.looks import ALIASES, FACTS, GRADES, ROLES, STATES, Tone, grade_look, role_name, state_look

SPRITE = Path(__file__).resolve().parents[2] / "templates" / "components" / "shapes.svg"
RELEASE = """draft building beta_rollout qa_check submitted in_review approved scheduled rolling_out paused
    verifying awaiting_signoff switching announced closed sent_back rejected withdrawn expired superseded
    failed rolling_back rolled_back review_owed stopping stopped"""
ROLLOUT = """queued running paused verifying awaiting_signoff switching succeeded stopping stopped failed
    rollback_failed rolling_back rolled_back"""
STEP = "waiting ready running verifying succeeded failed errored inconclusive cancelled skipped undone"
REQUIREMENT = "open met passed sent_back overdue void nobody_can failed skipped not_applicable"
BOARD = "healthy progressing degraded unknown unapproved_change pinned"
ALL_WORDS = sorted({*RELEASE.split(), *ROLLOUT.split(), *STEP.split(), *REQUIREMENT.split(), *BOARD.split()})


@pytest.fixture(scope="module")
def symbols() -> set[str]:
    return set(re.findall(r'<symbol id="shape-([a-z-]+)"', SPRITE.read_text()))


@pytest.mark.parametrize("word", ALL_WORDS)
def test_every_state_of_the_product_has_a_look(word: str) -> None:
    assert word in STATES


@pytest.mark.parametrize("word", sorted(STATES))
def test_every_look_has_a_word_a_tone_and_a_drawn_shape(word: str, symbols: set[str]) -> None:
    look = STATES[word]
    assert str(look.label).strip()
    assert look.tone in Tone
    assert look.shape in symbols


def stored_states() -> set[tuple[str, str]]:
    return {
        (f"{model._meta.label}.{field.name}", str(value))
        for model in apps.get_models()
        for field in model._meta.fields
        if model._meta.app_label in {"approvals", "releases", "rollouts"}
        and field.name in {"state", "verdict", "result"}
        and field.choices
        for value, _label in field.flatchoices
    }


def test_the_search_for_stored_states_finds_some() -> None:
    assert ("releases.Release.state", "in_review") in stored_states()


def test_every_state_and_verdict_that_pages_show_has_a_look() -> None:
    assert [pair for pair in sorted(stored_states()) if pair[1] not in {*STATES, *ALIASES}] == []


def test_states_of_one_tone_and_shape_are_told_apart_by_their_word() -> None:
    with translation.override("en"):
        seen = [(look.tone, look.shape, str(look.label)) for look in STATES.values()]
    assert len(seen) == len(set(seen))


def test_trouble_never_shares_a_shape_with_success() -> None:
    shapes = {tone: {look.shape for look in STATES.values() if look.tone == tone} for tone in Tone}
    assert not shapes[Tone.BAD] & shapes[Tone.OK]
    assert not shapes[Tone.ACT] & shapes[Tone.OK]


def test_an_unlisted_state_reads_as_unknown() -> None:
    assert state_look("exploded") is STATES["unknown"]


def test_every_verdict_takes_the_look_of_its_outcome() -> None:
    assert {state_look(verdict) for verdict in ALIASES} == {STATES[word] for word in ALIASES.values()}
    assert state_look("approve") is STATES["approved"]


def test_grades_are_found_in_either_case_and_none_stays_none() -> None:
    assert grade_look("d") is GRADES["D"]
    assert grade_look(None) is None
    assert grade_look("Z") is None


def test_roles_and_facts_have_names_and_an_unlisted_role_stands_as_it_is() -> None:
    assert all(str(name).strip() for name in (*ROLES.values(), *FACTS.values()))
    assert role_name("dba") == "dba"
