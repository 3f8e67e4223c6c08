"""What was skipped is named wherever it is said what runs, and no change is found that nobody made."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from portal.audit.models import AuditEntry
from portal.integrations.kubernetes.client import connect
from portal.people.models import User
from releases.catalog.models import Running
from releases.models import Release
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.rounds import read_view
from tests.cluster.conftest import Cluster
from tests.cluster.objects import Space, deployment
from tests.faults.proxy import Proxy, proxy_to
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor, digest_for, drive, lay, pinned, why
from tests.soak import long

NAMES = ("a", "b", "c")
REASON = "its webhook refuses it until Monday"
Json = dict[str, Any]


@dataclass
class Guarded:
    """A floor whose cluster refuses a write where a test says so, as a webhook does."""

    floor: Floor
    line: Proxy

    def refused(self) -> Rollout:
        """A rollout whose first write is refused."""
        self.watch()
        self.line.fault(403, methods=("PATCH",))
        rollout = drive(self.floor.start(), "failed")
        assert [each.kind for each in rollout.steps.filter(state="failed")] == ["set_image"]
        return rollout

    def skip(self, rollout: Rollout, *states: str) -> None:
        """Skip what failed, and let the rollout go on."""
        self.floor.order(rollout, "skip", step=rollout.steps.get(state="failed"), reason=REASON)
        drive(rollout, *states, "paused", "failed", "rollback_failed")
        assert rollout.state in states, why(rollout)

    def watch(self) -> None:
        """One look, as the watcher does again and again."""
        environment = self.floor.environment
        look(environment, read_view(connect(environment.cluster.spec), environment))

    def digests(self, name: str) -> list[str]:
        """What is expected of a service."""
        found: list[str] = Running.objects.get(service__name=name).expected["digests"]
        return found

    @property
    def by(self) -> str:
        """Who skips."""
        return self.floor.shop.cast.author.username

    @property
    def called(self) -> str:
        """What people call them."""
        return self.floor.shop.cast.author.get_full_name()


@pytest.fixture
def lay_guarded(cluster: Cluster, space: Space, tmp_path: Path, transactional_db: None) -> Iterator[Any]:
    """Lays such a floor; takes the arguments of `lay`."""
    with proxy_to(cluster.kubeconfig_path, tmp_path) as (line, kubeconfig):
        yield lambda **options: Guarded(lay(space, kubeconfig, **options), line)


@pytest.fixture
def three(lay_guarded: Any) -> Guarded:
    """Three services, one after the other."""
    objects = {name: body for each in NAMES for name, body in pinned(each).items()}
    made: Guarded = lay_guarded(services=NAMES, waves=[[each] for each in NAMES], objects=objects)
    return made


def page(user: User, path: str, language: str = "en") -> str:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def of_service(rollout: Rollout, name: str) -> list[Json]:
    assert rollout.verdict is not None
    return [row for row in rollout.verdict["services"] if row["service"] == name]


@long
def test_a_service_that_was_skipped_is_named_and_the_others_are_exact(three: Guarded) -> None:
    rollout = three.refused()
    three.skip(rollout, "succeeded")
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is False
    found = {row["service"]: row["ok"] for row in rollout.verdict["services"]}
    assert found == {"a": False, "b": True, "c": True}
    [row] = of_service(rollout, "a")
    assert row["skipped"] == {"workload": "a", "by": three.by, "reason": REASON}
    assert row["expected"] == {"web": [digest_for("a", "2.0.0")]}
    verify = rollout.steps.get(kind="verify_digests")
    assert (verify.state, verify.observed["code"]) == ("succeeded", "exactly_these_but")
    assert verify.observed["args"] == {"services": "a"}
    entry = AuditEntry.objects.filter(action="step.succeeded", subject=str(verify.pk)).get()
    assert json.loads(entry.body)["after"]["verdict"] == rollout.verdict


@long
def test_pages_proof_and_api_name_what_was_skipped(three: Guarded) -> None:
    rollout = three.refused()
    three.skip(rollout, "succeeded")
    shown = page(three.floor.shop.cast.author, f"/rollouts/{rollout.pk}/")
    assert "Exactly what was approved." not in shown
    assert "What runs differs from what was approved" in shown
    assert f"a skipped by {three.called}: {REASON}" in shown
    panel = page(User.objects.get(username="floor-pl"), f"/rollouts/{rollout.pk}/signoff/")
    assert "Exactly what was approved." not in panel
    assert f"a skipped by {three.called}: {REASON}" in panel
    auditor = three.floor.shop.cast.auditor
    told = page(auditor, f"/releases/{rollout.release_id}/proof/")
    assert "No. Part of it was skipped" in told
    assert f"a skipped by {three.called}: {REASON}" in told
    assert "nothing else." not in told
    proof = json.loads(ApiClient(auditor).get(f"/releases/{rollout.release_id}/proof").content)
    assert proof["answer"]["ran"] == "skipped"
    assert proof["rollouts"][-1]["verdict"] == rollout.verdict
    assert ApiClient(auditor).get(f"/rollouts/{rollout.pk}").json()["verdict"] == rollout.verdict


@long
def test_the_announcement_says_what_was_skipped_and_what_runs_there(three: Guarded) -> None:
    rollout = three.refused()
    three.skip(rollout, "succeeded")
    release = Release.objects.get(pk=rollout.release_id)
    shown = ApiClient(three.floor.shop.cast.auditor).get(f"/releases/{release.pk}").json()["announcement"]
    assert "- 배포버전: b(2.0.0), c(2.0.0)" in shown.splitlines()
    [left] = [line for line in shown.splitlines() if line.startswith("- 제외: ")]
    assert left.startswith("- 제외: a(2.0.0 건너뜀, ")
    assert left.endswith(" 실행 중)")
    assert "1.0.0" in left
    Release.objects.filter(pk=release.pk).update(announcement="우리 말로")
    shown = ApiClient(three.floor.shop.cast.auditor).get(f"/releases/{release.pk}").json()["announcement"]
    assert shown.splitlines() == ["우리 말로", left]


@long
def test_a_skipped_service_goes_on_with_what_ran_before_and_nothing_is_found(three: Guarded) -> None:
    rollout = three.refused()
    before = Running.objects.get(service__name="a")
    three.skip(rollout, "succeeded")
    three.watch()
    assert not Finding.objects.exists()
    after = Running.objects.get(service__name="a")
    assert (three.digests("a"), after.release) == (before.expected["digests"], before.release)
    assert three.digests("b") == [digest_for("b", "2.0.0")]
    assert Release.objects.get(pk=rollout.release_id).state == "awaiting_signoff"
    # What comes now is nobody's: neither what was approved and skipped, nor anything else.
    three.floor.space.set_image("a", f"registry.test/floor/a@{digest_for('a', 'evil')}")
    three.watch()
    assert Finding.objects.get().service.name == "a"


@long
def test_of_two_workloads_of_a_service_the_skipped_one_is_named_and_both_may_run(lay_guarded: Any) -> None:
    image = f"registry.test/floor/a:1.0.0@{digest_for('a', '1.0.0')}"
    guarded: Guarded = lay_guarded(services=("a",), objects=pinned("a"))
    guarded.floor.space.create(deployment("a-queue", image=image))
    guarded.floor.space.settle("a-queue")
    service = guarded.floor.services["a"]
    both = [{"kind": "Deployment", "name": each, "containers": ["web"]} for each in ("a", "a-queue")]
    service.spec["workloads"] = both
    service.save(update_fields=["spec"])
    rollout = guarded.refused()
    left = rollout.steps.get(state="failed").params["workload"]["name"]
    guarded.skip(rollout, "succeeded")
    rows = of_service(rollout, "a")
    assert sorted(row["ok"] for row in rows) == [False, True]
    assert [row["skipped"]["workload"] for row in rows if not row["ok"]] == [left]
    assert guarded.digests("a") == sorted([digest_for("a", "1.0.0"), digest_for("a", "2.0.0")])
    guarded.watch()
    assert not Finding.objects.exists()


@long
def test_a_service_that_runs_it_all_the_same_is_exact(three: Guarded) -> None:
    rollout = three.refused()
    three.floor.space.set_image("a", three.floor.wanted("a", "2.0.0"))
    three.floor.space.wait_until_done("a")
    three.skip(rollout, "succeeded")
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    [row] = of_service(rollout, "a")
    assert row["skipped"]["reason"] == REASON
    three.watch()
    assert three.digests("a") == [digest_for("a", "2.0.0")]
    assert not Finding.objects.exists()


@long
def test_what_was_skipped_on_the_way_back_is_named_too(three: Guarded) -> None:
    three.watch()
    rollout = drive(three.floor.start(), "succeeded")
    three.line.fault(403, methods=("PATCH",))
    three.floor.order(rollout, "rollback")
    drive(rollout, "rollback_failed")
    three.skip(rollout, "rolled_back")
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is False
    [kept] = [row["service"] for row in rollout.verdict["services"] if not row["ok"]]
    assert of_service(rollout, kept)[0]["skipped"]["by"] == three.by
    shown = page(three.floor.shop.cast.author, f"/rollouts/{rollout.pk}/")
    assert "Exactly what ran before runs again." not in shown
    assert f"{kept} skipped by {three.called}: {REASON}" in shown
    three.watch()
    assert not Finding.objects.exists()
