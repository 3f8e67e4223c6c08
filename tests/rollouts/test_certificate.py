"""A certificate that ends too soon, ended, or is for another name fails a step; silence does not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from portal.integrations.tls.client import Shown
from releases.catalog.models import Connection
from releases.rollouts import engine, texts
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.steps.certificate import judge
from releases.rollouts.steps.kind import Verdict
from tests.factories import Shop, make_rollout
from tests.portal.integrations.showing import certificate, showing

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ENGLISH = translation.override("en")
moments = st.timedeltas(timedelta(days=-4000), timedelta(days=4000))


def shown(**changes: Any) -> Shown:
    told = {"subject": "CN=shop", "issuer": "CN=authority", "names": "shop.test"}
    return Shown(**{**told, "begins": NOW - timedelta(9), "ends": NOW + timedelta(99), **changes})


@given(begins=moments, ends=moments, fits=st.sampled_from([True, False, None]), least=st.integers(0, 400))
def test_only_a_certificate_that_holds_for_long_enough_is_good(
    begins: timedelta, ends: timedelta, fits: bool | None, least: int
) -> None:
    doubt = "" if fits else "unable to get local issuer certificate"
    found = shown(begins=NOW + begins, ends=NOW + ends, fits=fits, doubt=doubt)
    outcome = judge(found, name="shop.test", least=least, now=NOW)
    lasts = begins <= timedelta(0) < ends and ends >= timedelta(days=least)
    assert (outcome.verdict == Verdict.DONE) == (lasts and fits is True)
    assert outcome.verdict in {Verdict.DONE, Verdict.FAILED}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ends": NOW - timedelta(1)}, "The certificate of shop.test ended on 2026-05-31: CN=shop"),
        ({"begins": NOW + timedelta(1)}, "begins only on 2026-06-02"),
        ({"fits": False, "doubt": "mismatch"}, "The certificate is not for shop.test; it is for: shop.test"),
        (
            {"fits": None, "doubt": "self-signed"},
            "Nobody known vouches for the certificate of shop.test: self",
        ),
        ({"ends": NOW + timedelta(5)}, "ends on 2026-06-06: 5 days are left, and at least 14 are wanted"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], words: str) -> None:
    outcome = judge(shown(**changes), name="shop.test", least=14, now=NOW)
    assert outcome.failure is not None
    with ENGLISH:
        assert words in texts.failure(outcome.failure)


def checking(shop: Shop, **params: Any) -> Rollout:
    """A rollout that begins with the check, of a host that an administrator allowed."""
    Connection.objects.create(name="web", kind="http", spec={"networks": ["127.0.0.0/8"]})
    params = {"host": "127.0.0.1", "section": "before", **params}
    rollout = make_rollout(
        shop, [Node(key="before.certificate", kind="certificate", position=0, params=params)]
    )
    engine.advance(rollout.pk)
    return rollout


def test_the_step_keeps_whose_it_is_and_how_long_it_goes_on(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with showing(*certificate(tmp_path, names=("shop.test",), days=30.5)) as endpoint:
        monkeypatch.setenv("SHOP_AUTHORITY", endpoint.authority)
        place = {"port": endpoint.port, "serverName": "shop.test", "authorityRef": "env:SHOP_AUTHORITY"}
        step = checking(shop, **place).steps.get()
    assert step.state == "succeeded", step.failure
    with ENGLISH:
        said = texts.step_text(step)
    assert said.startswith("CN=shop.test, from CN=test authority, until 2")
    assert said.endswith(": 30 days are left")


def test_silence_is_not_measured_bad(shop: Shop) -> None:
    rollout = checking(shop, port=1)
    step = rollout.steps.get()
    assert (step.state, step.observed["code"], step.observed["unmeasured"]) == ("running", "no_answer", True)
    rollout.steps.update(deadline_at=step.started_at, wake_at=None)
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    assert (rollout.steps.get().state, rollout.state) == ("errored", "paused")
