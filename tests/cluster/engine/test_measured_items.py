"""Items of a checklist that the portal answers, by what it sees on a cluster."""

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from portal.audit.models import AuditEntry
from releases import gates
from releases.models import Check, Release
from releases.rollouts import measuring
from tests.cluster.conftest import USES_CONTROL_PLANE, Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_headroom import MANY, rolling
from tests.cluster.engine.test_secret_hygiene import GOOD, PLACEHOLDER, put
from tests.factories import make_checklist
from tests.rollouts.floor import Floor
from tests.soak import long


@pytest.fixture
def account(cluster: Cluster) -> Path:
    """Sees nodes and Secrets, which the account that is shipped does not (docs/production.md)."""
    return cluster.kubeconfig_path


def asked(floor: Floor, *checks: dict[str, Any], version: str = "2.0.0") -> Release:
    """A release with an item for each of these measurements, all of them made once."""
    items = [
        {"phase": "before", "text": f"Item {number}", "check": each} for number, each in enumerate(checks)
    ]
    made = make_checklist(*items, name=f"of {version}")
    made.spec["environments"] = [floor.environment.name]
    made.save()
    release = floor.release(version)
    made.delete()
    for gate in gates.measured_now().filter(release=release):
        measuring.measure(gate.pk)
    return release


def answers(release: Release) -> list[str]:
    """How each item came out, in their order."""
    return [each.result for each in Check.objects.filter(release=release).order_by("position")]


def page(floor: Floor, release: Release) -> str:
    """The release as a person reads it."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(floor.shop.cast.auditor)
    return unescape(client.get(f"/releases/{release.number}/").content.decode())


@long
def test_room_is_reckoned_with_the_steps_that_the_rollout_will_have(lay_floor: Lay) -> None:
    floor = lay_floor(objects=rolling(2))
    fits = asked(floor, {"kind": "headroom"})
    assert answers(fits) == ["done"]
    assert "Room for 2 more pods on" in page(floor, fits)
    floor.plan.spec["waves"][0]["before"] = [{"kind": "scale", "service": "api", "replicas": MANY}]
    floor.plan.save()
    lacks = asked(floor, {"kind": "headroom"}, version="2.1.0")
    assert answers(lacks) == ["failed"]
    assert "more pods of deployment/api" in page(floor, lacks)
    floor.plan.spec["waves"] = []
    floor.plan.save()
    for gate in gates.measured_now().filter(release=lacks):
        measuring.measure(gate.pk)
    assert answers(lacks) == [""], "a plan that does not fit was not measured"
    assert "The plan does not fit the release" in page(floor, lacks)


@long
def test_secrets_are_looked_at_and_no_value_is_kept(lay_floor: Lay) -> None:
    floor = lay_floor()
    put(floor.space, KEY=GOOD, PASSWORD=PLACEHOLDER)
    whole = {"kind": "secret_hygiene", "secrets": [{"name": "api-secrets"}]}
    partly = {"kind": "secret_hygiene", "secrets": [{"name": "api-secrets", "ignore": ["PASSWORD"]}]}
    release = asked(floor, whole, partly)
    assert answers(release) == ["failed", "done"]
    said = page(floor, release)
    assert "api-secrets/PASSWORD" in said
    assert "The values of 1 Secrets are set" in said
    kept = f"{said}{list(AuditEntry.objects.values_list('body', flat=True))}"
    assert PLACEHOLDER not in kept
    assert GOOD not in kept


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes have no logs")
def test_logs_are_read_and_the_forbidden_lines_shown(lay_floor: Lay) -> None:
    floor = lay_floor()
    read = {"kind": "log_pattern", "service": "api", "lines": 50}
    release = asked(floor, {**read, "require": ["ready to*requests"]}, {**read, "forbid": ["listening*8080"]})
    assert answers(release) == ["done", "failed"]
    said = page(floor, release)
    assert "The logs of 1 pods are as they should be" in said
    assert "configuration read, listening on port 8080" in said.partition("Last log lines")[2]


@long
def test_the_certificate_of_a_service_that_is_not_there_fails_its_item(lay_floor: Lay) -> None:
    floor = lay_floor()
    release = asked(floor, {"kind": "certificate", "service": "nobody", "port": 443})
    assert answers(release) == ["failed"]
