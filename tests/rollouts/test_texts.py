"""Everything the engine can say has words."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from portal.integrations.kubernetes.trouble import PATIENCE
from releases.rollouts import texts, wordings
from releases.rollouts.canary_share import share_text
from releases.rollouts.models import Step
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.tables import TIMEOUTS

ROLLOUTS = Path(texts.__file__).parent
SOURCES = [*ROLLOUTS.glob("*.py"), *ROLLOUTS.glob("steps/*.py")]


def called(name: str) -> set[str]:
    """The codes that the sources give to a function."""
    form = re.compile(rf'\b{name}\(\s*"([a-z_]+)"')
    return {code for path in SOURCES for code in form.findall(path.read_text())}


def test_every_kind_of_step_has_a_name_and_a_limit() -> None:
    assert KINDS.keys() == wordings.KINDS.keys() == TIMEOUTS.keys()


def test_every_code_of_an_observation_has_words() -> None:
    assert called("done") | called("wait") <= wordings.OBSERVED.keys()


def test_every_code_of_a_failure_has_words() -> None:
    assert called("failed") <= wordings.FAILURES.keys()
    shown_by_their_own_name = {name for name in PATIENCE if name.endswith("HookError")}
    assert PATIENCE.keys() - shown_by_their_own_name <= wordings.FAILURES.keys()


def test_every_reason_of_a_pause_has_words() -> None:
    assert called("hold") <= wordings.PAUSES.keys()


@translation.override("ko")
def test_a_reason_in_the_record_is_worded_unless_a_person_wrote_it() -> None:
    for code in [*wordings.PAUSES, "stopped", "rollback_failed", "ErrImagePull"]:
        assert re.search("[가-힣]", texts.reason(code)), code
    assert texts.reason("{by} wrote this") == "{by} wrote this"


@translation.override("en")
def test_the_share_of_a_canary_that_nothing_routes_is_told_in_pods() -> None:
    seen = {"weight": 20, "updated": 1, "total": 5}
    assert share_text([Step(observed=seen)]) == "canary 20 %: 1 of 5 pods"
    assert share_text([Step(observed={"weight": 20})]) == "canary 20 % of the traffic"


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("ratio", 0.0142, "1.42 %"),
        ("seconds", 0.21, "210 ms"),
        ("seconds", 1.4, "1.4 s"),
        ("bytes", 512 * 2**20, "512 MiB"),
        ("bytes", 1536 * 2**20, "1.5 GiB"),
        ("cores", 0.25, "250m"),
        ("cores", 2, "2 cores"),
        ("perSecond", 12, "12/s"),
    ],
)
@translation.override("en")
def test_a_measured_value_has_the_unit_that_the_plan_names(unit: str, value: float, said: str) -> None:
    args = {"value": value, "limit": value, "unit": unit}
    assert (
        texts.failure({"code": "metric_beyond", "args": args})
        == f"Measured {said}, where {said} is the limit"
    )


def test_a_measured_value_has_the_digits_that_people_compare() -> None:
    for value, said in ((0.190649, "0.1906"), (0.002, "0.002"), (200.0, "200"), (48_213.7, "48214")):
        assert texts.observed({"code": "metric_now", "args": {"value": value}}) == said


@translation.override("en")
def test_a_span_is_told_in_the_units_that_people_use() -> None:
    for seconds, said in ((30, "30 s"), (300, "5 min"), (90, "1 min 30 s")):
        told = texts.observed({"code": "watched", "args": {"seconds": seconds}})
        assert told == f"Watched for {said}, every gate is green"
        settling = {"code": "settling", "ready": 1, "wanted": 1, "seconds": seconds}
        assert texts.observed(settling) == f"1/1 ready, watched for {said} more"


@translation.override("en")
def test_an_event_of_a_step_has_the_title_that_the_plan_gives_it() -> None:
    facts = {"kind": "watch", "key": "1.web.watch", "service": "web", "state": "running"}
    assert texts.event_text("step.running", facts) == "web: Watch: running"
    assert texts.event_text("step.running", {**facts, "title": "Old colour"}) == "web: Old colour: running"


@translation.override("en")
def test_the_clusters_own_words_of_a_failure_are_told_once() -> None:
    failure = {"code": "ErrImagePull", "message": "rpc error"}
    step = {"kind": "wait_rollout", "key": "1.web.wait", "service": "web", "state": "failed"}
    assert "rpc error" in texts.event_text("step.failed", {**step, "failure": failure})
    told = texts.event_text("rollout.failed", {"state": "failed", "failure": failure})
    assert told == "failed: The image cannot be pulled"


def test_words_of_outside_systems_are_only_data() -> None:
    text = texts.failure({"code": "invalid", "message": "<b>{object}</b> {0}"})
    assert text.endswith(": <b>{object}</b> {0}")
    told = texts.observed({"code": "unreachable", "args": {"message": "{count} {0} %s"}})
    assert told.endswith("{count} {0} %s")


def test_a_code_that_is_not_known_here_is_shown_as_it_is() -> None:
    """A cluster has names of its own for trouble, and a newer version of the portal for what it saw."""
    name = "Err{message.__class__} {"
    assert texts.failure({"code": name, "message": "words"}) == f"{name}: words"
    assert texts.observed({"code": name}) == name
    assert texts.pause({"reason": name}) == name
    unmet = [{"code": "of_tomorrow", "path": "a.b", "found": "{x}"}]
    assert "of_tomorrow" in texts.observed(
        {"code": "unhealthy", "args": {"status": "HTTP 200", "unmet": unmet}}
    )
    assert texts.note({"code": name, "args": {}}) == name
