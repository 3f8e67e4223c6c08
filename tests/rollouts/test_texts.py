"""Everything the engine can say has words."""

import re
from pathlib import Path

from portal.integrations.kubernetes.trouble import PATIENCE
from releases.rollouts import texts
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.tables import TIMEOUTS

ROLLOUTS = Path(texts.__file__).parent
SOURCES = [*ROLLOUTS.glob("*.py"), *ROLLOUTS.glob("steps/*.py")]


def called(name: str) -> set[str]:
    """The codes that the sources give to a function."""
    form = re.compile(rf'\b{name}\(\s*"([a-z_]+)"')
    return {code for path in SOURCES for code in form.findall(path.read_text())}


def test_every_kind_of_step_has_a_name_and_a_limit() -> None:
    assert KINDS.keys() == texts.KINDS.keys() == TIMEOUTS.keys()


def test_every_code_of_an_observation_has_words() -> None:
    assert called("done") | called("wait") <= texts.OBSERVED.keys()


def test_every_code_of_a_failure_has_words() -> None:
    assert called("failed") <= texts.FAILURES.keys()
    shown_by_their_own_name = {name for name in PATIENCE if name.endswith("HookError")}
    assert PATIENCE.keys() - shown_by_their_own_name <= texts.FAILURES.keys()


def test_every_reason_of_a_pause_has_words() -> None:
    assert called("hold") <= texts.PAUSES.keys()


def test_words_of_outside_systems_are_only_data() -> None:
    text = texts.failure({"code": "invalid", "message": "<b>{object}</b> {0}"})
    assert text.endswith(": <b>{object}</b> {0}")
    told = texts.observed({"code": "unreachable", "args": {"message": "{count} {0} %s"}})
    assert told.endswith("{count} {0} %s")
