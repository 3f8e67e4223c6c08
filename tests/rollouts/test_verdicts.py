"""Exactly what was approved, or the difference: said alike on every page that says what ran."""

from typing import Any

import pytest
from django.test import Client

from releases.models import Release
from releases.rollouts.models import Rollout
from tests.factories import Shop, digest_for, make_release

Json = dict[str, Any]
SERVICE = "shopping-service"
EXACT: Json = {"exact": True, "services": []}
OTHER: Json = {
    "service": SERVICE,
    "ok": False,
    "expected": {"web": [digest_for(SERVICE, "2.8.0")]},
    "found": {"web": [digest_for(SERVICE, "evil")]},
}
DIFFERENT: Json = {"exact": False, "services": [OTHER]}
SKIPPED: Json = {
    "exact": False,
    "services": [{**OTHER, "skipped": {"workload": "shop", "by": "kim", "reason": "until Monday"}}],
}


def page(shop: Shop, path: str) -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.outsider)
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def pages(shop: Shop, release: Release) -> list[str]:
    """The pages beside the proof that say what ran."""
    rollout = release.rollouts.get()
    paths = (
        f"/releases/{release.number}/",
        f"/rollouts/{rollout.pk}/",
        f"/rollouts/{rollout.pk}/signoff/",
    )
    return [page(shop, each) for each in paths]


@pytest.fixture
def release(shop: Shop) -> Release:
    """A release that went out and waits for its sign-off."""
    return make_release(shop, at="awaiting_signoff")


def found(release: Release, verdict: Json | None, **fields: Any) -> None:
    """Let its rollout have been read back."""
    release.rollouts.update(verdict=verdict, **fields)


def test_every_page_says_that_exactly_what_was_approved_runs(shop: Shop, release: Release) -> None:
    found(release, EXACT)
    for text in pages(shop, release):
        assert "Exactly what was approved." in text


def test_every_page_names_what_runs_instead(shop: Shop, release: Release) -> None:
    found(release, DIFFERENT)
    for text in pages(shop, release):
        assert "Exactly what was approved." not in text
        assert "What runs differs from what was approved" in text
        for version in ("2.8.0", "evil"):
            assert f'title="{digest_for(SERVICE, version)}"' in text


def test_every_page_names_who_skipped_what_and_why(shop: Shop, release: Release) -> None:
    found(release, SKIPPED)
    for text in pages(shop, release):
        assert "shop skipped by kim: until Monday" in text


def test_a_release_that_was_rolled_back_says_that_what_ran_before_runs_again(
    shop: Shop, release: Release
) -> None:
    found(release, EXACT, state="rolled_back")
    text = page(shop, f"/releases/{release.number}/")
    assert "Exactly what ran before runs again." in text
    assert "Exactly what was approved." not in text


def test_a_release_says_nothing_of_what_runs_before_it_was_read_back(shop: Shop, release: Release) -> None:
    found(release, None)
    for text in pages(shop, release):
        assert "Exactly what was approved." not in text
        assert "What runs differs" not in text


def test_other_content_than_approved_is_said(shop: Shop, release: Release) -> None:
    found(release, EXACT, content_digest="sha256:other")
    for text in pages(shop, release):
        assert "The rollout carried other content than was approved." in text
        assert "Exactly what was approved." not in text


@pytest.fixture
def turned(release: Release) -> Rollout:
    """A rollout that found something else to run, and is on its way back since."""
    rollout: Rollout = release.rollouts.get()
    looks: tuple[tuple[str, str, str, Json], ...] = (
        ("verify", "forward", "failed", {"code": "digests_differ"}),
        ("back", "back", "waiting", {}),
    )
    for position, (key, direction, state, seen) in enumerate(looks):
        rollout.steps.create(
            key=key,
            kind="verify_digests",
            position=position,
            direction=direction,
            state=state,
            observed=seen,
            timeout_seconds=60,
        )
    found(release, DIFFERENT, state="rolling_back")
    return rollout


def test_what_was_found_on_the_way_forward_says_nothing_on_the_way_back(shop: Shop, turned: Rollout) -> None:
    paths = (f"/rollouts/{turned.pk}/", f"/releases/{turned.release_id}/")
    for path in paths:
        assert "What runs differs" not in page(shop, path)
    proof = page(shop, f"/releases/{turned.release_id}/proof/")
    assert "It was not read back what ran." in proof
    turned.steps.filter(key="back").update(state="failed", observed={"code": "digests_differ"})
    for path in paths:
        assert "What runs differs from what ran before" in page(shop, path)
