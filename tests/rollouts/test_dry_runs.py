"""Dry runs that start Helm in a web process: few at once, and bounded in time."""

import pytest
from django.utils import translation

from portal.errors import TemporaryError
from portal.people.models import User
from releases.models import Release
from releases.rollouts import dry_runs, plans
from releases.rollouts.graph import Node
from releases.rollouts.steps.kind import Planned, Work
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release
from tests.pages.rollouts.conftest import browser
from tests.portal.api import ApiClient
from tests.soak import long

OWN = "Your last dry run with Helm still goes on. Look again when it is over."
OTHERS = "Others have Helm look what a release would do. Look again in a moment."


class Looking:
    """A step whose dry run takes as long as a test says."""

    def __init__(self) -> None:
        self.nodes = [Node(key=key, kind="helm_upgrade", position=at) for at, key in enumerate("ab")]
        self.meanwhile: list[User] = []
        self.told: list[str] = []
        self.asked = 0

    def plan(self, _work: Work) -> Planned:
        """Let others look meanwhile: what they are told, or nothing."""
        self.asked += 1
        for user in self.meanwhile:
            self.told.append(tried(user))
        return Planned()


def tried(user: User) -> str:
    """Begin a dry run and end it; what is told instead."""
    try:
        with translation.override("en"), dry_runs.one_of_few(user):
            return ""
    except TemporaryError as error:
        return str(error)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    """Helm, which is asked by every plan."""
    made = Looking()
    monkeypatch.setitem(KINDS, "helm_upgrade", made)
    monkeypatch.setattr(plans, "graph_of", lambda _release: made.nodes)
    return made


@pytest.fixture
def release(shop: Shop) -> Release:
    """What everybody looks at."""
    return make_release(shop, at="in_review")


def asked(user: User, release: Release) -> tuple[int, str]:
    """Ask the API for the dry run: the status, and what a problem says."""
    answer = ApiClient(user).get(f"/releases/{release.number}/plan", accept_language="en")
    return answer.status_code, answer.json().get("detail", "")


def page_of(user: User, release: Release) -> str:
    """The page of the dry run."""
    answer = browser(user).get(f"/releases/{release.number}/plan/", headers={"accept-language": "en"})
    return answer.content.decode()


def test_one_person_has_one_at_once(shop: Shop, release: Release, looking: Looking) -> None:
    auditor, qa = shop.cast.auditor, shop.cast.qa
    with dry_runs.one_of_few(auditor):
        assert asked(auditor, release) == (503, OWN)
        assert OWN in page_of(auditor, release)
        assert looking.asked == 0
        assert asked(qa, release)[0] == 200
    looking.meanwhile = [auditor, qa]
    assert asked(auditor, release)[0] == 200
    assert looking.told == [OWN, ""] * 2, "each of its steps is looked at in the same turn"
    assert tried(auditor) == ""


@long
def test_all_people_together_have_two_at_once(shop: Shop, release: Release, looking: Looking) -> None:
    with dry_runs.one_of_few(shop.cast.author), dry_runs.one_of_few(shop.cast.qa):
        assert asked(shop.cast.auditor, release) == (503, OTHERS)
    assert asked(shop.cast.auditor, release)[0] == 200


@long
def test_what_starts_no_helm_is_not_counted(shop: Shop, release: Release, looking: Looking) -> None:
    with dry_runs.one_of_few(shop.cast.auditor):
        assert asked(shop.cast.auditor, release) == (503, OWN)
        looking.nodes.clear()
        assert asked(shop.cast.auditor, release)[0] == 200


@long
def test_what_would_take_too_long_is_not_asked_any_more_and_says_so(
    shop: Shop, release: Release, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MOST_SECONDS", -1)
    assert "not looked at, as this dry run had taken" in page_of(shop.cast.auditor, release)
    assert looking.asked == 0
