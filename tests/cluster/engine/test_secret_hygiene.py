"""Secrets that nobody has set yet stop a rollout before its start; no value of theirs is kept or shown."""

import base64
import json
import logging
from pathlib import Path

import pytest
from django.apps import apps
from django.core import serializers
from django.test import Client

from releases.rollouts import plans
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import Space
from tests.rollouts.floor import drive, lay, why
from tests.soak import long

# None of them looks like a secret to the masks: whoever writes one down is found out.
PLACEHOLDER, SHORT, GOOD = "changeme-heron", "osprey-17", "kingfisher-and-wagtail-at-the-weir-0931"
ASKED = {"name": "api-secrets", "minLengths": {"JWT_KEY": 32, "API_KEY": 10}}
BEFORE = ({"kind": "secret_hygiene", "secrets": [ASKED]},)
ENDS = ("succeeded", "failed", "paused")


@pytest.fixture
def account(cluster: Cluster) -> Path:
    """Reads Secrets, which the account that is shipped does not (docs/production.md)."""
    return cluster.kubeconfig_path


def put(space: Space, **values: str) -> None:
    """Make the Secret, or write it anew."""
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api-secrets"}, "data": data}
    space.create(body)


def everything_kept() -> str:
    """Every row of the database, as text."""
    kept = [model for model in apps.get_models() if model._meta.managed]
    return "\n".join(serializers.serialize("json", model._base_manager.all()) for model in kept)


@long
def test_what_is_not_set_is_named_and_no_value_is_kept_or_shown(
    lay_floor: Lay, space: Space, caplog: pytest.LogCaptureFixture, client: Client
) -> None:
    floor = lay_floor(before=BEFORE)
    put(space, DB_PASSWORD=PLACEHOLDER, JWT_KEY=SHORT, API_KEY=GOOD)
    with caplog.at_level(logging.DEBUG):
        release = floor.release()
        errors = [each.error for each in plans.preview(release).steps if each.kind == "secret_hygiene"]
        rollout = drive(floor.start("2.1.0"), *ENDS)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="secret_hygiene").failure
    assert failure is not None
    assert failure["args"] == {
        "unset": "api-secrets/DB_PASSWORD",
        "short": "api-secrets/JWT_KEY (≥ 32)",
        "absent": "–",
    }
    client.force_login(floor.shop.cast.author)
    pages = [
        client.get(path).content.decode()
        for path in (
            f"/rollouts/{rollout.pk}/",
            f"/rollouts/{rollout.pk}/proof/",
            f"/releases/{release.number}/plan/",
            f"/api/v1/rollouts/{rollout.pk}/steps",
        )
    ]
    assert "DB_PASSWORD" in pages[0]
    told = "\n".join([*errors, *pages, everything_kept(), caplog.text, json.dumps(failure)])
    for value in (PLACEHOLDER, SHORT, GOOD):
        assert value not in told
        assert base64.b64encode(value.encode()).decode() not in told


@long
def test_what_is_set_goes_out(lay_floor: Lay, space: Space) -> None:
    floor = lay_floor(before=BEFORE)
    put(space, JWT_KEY=GOOD, API_KEY=GOOD)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)


@long
def test_an_account_that_may_not_read_them_asks_a_person(
    cluster: Cluster, space: Space, tmp_path: Path, transactional_db: None
) -> None:
    floor = lay(space, cluster.limited_kubeconfig(tmp_path), before=BEFORE)
    put(space, JWT_KEY=GOOD, API_KEY=GOOD)
    rollout = drive(floor.start(), *ENDS)
    step = rollout.steps.get(kind="secret_hygiene")
    assert (step.state, rollout.state) == ("inconclusive", "paused"), why(rollout)
    assert step.observed == {"code": "secrets_unread", "args": {"names": "api-secrets"}}
