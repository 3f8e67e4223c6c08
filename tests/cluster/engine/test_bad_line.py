"""The line to the cluster breaks or the cluster refuses: all is found again, nothing is done twice."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from releases.rollouts.models import Rollout
from tests.cluster.conftest import Cluster
from tests.cluster.objects import Space
from tests.embedded.processes import wait_for
from tests.faults.proxy import READS, Fault, Proxy, proxy_to
from tests.rollouts.floor import Floor, drive, kinds, lay, longest_silence, why
from tests.rollouts.processes import processes
from tests.soak import long, soak

ENDS = ("succeeded", "failed", "paused")
PATIENCE_SECONDS = 40.0
# So late may a change be found that nobody tells of.
UNWATCHED_SECONDS = 10.0
CLUSTER = "cluster.test"


@dataclass
class Far:
    """A floor at the other end of a line."""

    floor: Floor
    line: Proxy

    def require_right(self, rollout: Rollout) -> None:
        """It is over, and each Deployment was changed once."""
        assert rollout.state == "succeeded", why(rollout)
        for name in self.floor.services:
            assert self.floor.image(name) == self.floor.wanted(name, "2.0.0")
            assert self.line.effective[f"/{self.floor.space.path('deployments', name)}"] == 1
        assert kinds(rollout).count("step.acted") == len(self.floor.services)


@pytest.fixture
def far(cluster: Cluster, space: Space, tmp_path: Path, transactional_db: None) -> Iterator[Far]:
    """Two services, one after the other, on a cluster that is reached over the proxy."""
    with proxy_to(cluster.kubeconfig_path, tmp_path) as (line, kubeconfig):
        yield Far(lay(space, kubeconfig, services=("a", "b"), waves=(("a",), ("b",))), line)


def some(name: str, *values: Any, quick: tuple[Any, ...]) -> pytest.MarkDecorator:
    """Every value in `make soak`, a few of them always."""
    marked = [value if value in quick else pytest.param(value, marks=soak) for value in values]
    return pytest.mark.parametrize(name, marked)


@long
@some("code", 409, 429, 500, 502, 503, 504, quick=(409,))
def test_a_write_that_the_server_cannot_take_now_is_sent_again_and_done_once(far: Far, code: int) -> None:
    fault = far.line.fault(code, count=2, headers={"Retry-After": "1"} if code == 429 else {})
    rollout = drive(far.floor.start(), *ENDS)
    far.require_right(rollout)
    assert fault.met == 2
    assert sum(far.line.asked.values()) == len(far.floor.services) + fault.met


@long
@some("code", 429, 500, 503, 504, quick=(500,))
def test_looks_that_the_server_cannot_answer_now_are_repeated(far: Far, code: int) -> None:
    rollout = far.floor.start()
    fault = far.line.fault(code, methods=READS, count=3)
    far.require_right(drive(rollout, *ENDS))
    assert fault.met == 3
    assert sum(far.line.asked.values()) == len(far.floor.services)


@long
@some("code", 400, 401, 403, 404, 422, quick=(401,))
def test_a_refusal_ends_the_step_with_the_servers_words(far: Far, code: int) -> None:
    far.line.fault(code, methods=("PATCH",), count=99)
    rollout = drive(far.floor.start(), *ENDS)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(key="1.a.set_image").failure
    assert f"the proxy answers {code}" in str(failure)
    assert sum(far.line.asked.values()) == 1
    assert far.line.effective == {}


def begun(far: Far, **more: Any) -> Rollout:
    """A rollout by a plan that rolls back by itself, whose first service was changed a moment ago."""
    far.floor.plan.spec |= {"onFailure": "rollback", **more}
    far.floor.plan.save(update_fields=["spec"])
    rollout = drive(far.floor.start(), "running")
    assert rollout.steps.get(key="1.a.set_image").state == "succeeded", why(rollout)
    assert rollout.steps.get(key="1.a.wait_rollout").state == "running", why(rollout)
    return rollout


def goes_on(far: Far, rollout: Rollout) -> None:
    """Once the line is well again, whoever resumes brings the rollout to its end."""
    far.line.faults.clear()
    far.floor.order(rollout, "resume")
    far.require_right(drive(rollout, "succeeded"))
    assert sum(far.line.asked.values()) == len(far.floor.services)


@long
@some("code", 400, 401, 403, 429, quick=(403,))
def test_a_cluster_that_lets_nobody_look_is_not_measured_bad(far: Far, code: int) -> None:
    each = [{"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 3, "settleSeconds": 0}]
    rollout = begun(far, each=each)
    far.line.fault(code, methods=READS, count=9999)
    drive(rollout, *ENDS, "rolled_back", "rollback_failed")
    assert rollout.state == "paused", why(rollout)
    assert not rollout.orders.exists()
    step = rollout.steps.get(key="1.a.wait_rollout")
    assert (step.state, (step.failure or {})["unread"]) == ("errored", True)
    assert f"the proxy answers {code}" in str(step.failure)
    goes_on(far, rollout)


@long
@some("code", 403, 409, 422, 500, quick=(403,))
def test_a_change_that_is_never_taken_fails_and_does_not_go_back_by_itself(far: Far, code: int) -> None:
    rollout = begun(far)
    far.line.fault(code, methods=("PATCH",), count=9999)
    drive(rollout, *ENDS, "rolled_back", "rollback_failed")
    assert rollout.state == "failed", why(rollout)
    assert f"the proxy answers {code}" in str(rollout.steps.get(key="2.b.set_image").failure)
    assert not rollout.orders.exists()
    assert far.floor.image("a") == far.floor.wanted("a", "2.0.0")


@long
def test_an_address_that_may_not_be_called_is_not_measured_bad(far: Far) -> None:
    service = far.floor.services["a"]
    service.spec["health"] = {"kind": "http", "url": "http://127.0.0.1:9/"}
    service.save(update_fields=["spec"])
    rollout = begun(far, each=[*far.floor.plan.spec["each"], {"kind": "health"}])
    drive(rollout, *ENDS, "rolled_back", "rollback_failed")
    step = rollout.steps.get(key="1.a.health")
    assert (rollout.state, step.state) == ("paused", "errored"), why(rollout)
    assert step.failure is not None
    assert step.failure["code"] == "address_refused"
    assert not rollout.orders.exists()


@long
@some("what", "before", "after", "half", "hang", quick=("after", "half"))
def test_a_write_whose_answer_is_lost_is_looked_for_and_never_repeated_blindly(far: Far, what: Any) -> None:
    far.line.fault(what)
    rollout = drive(far.floor.start(), *ENDS, seconds=90)
    far.require_right(rollout)
    lost = 0 if what in {"after", "half"} else 1
    assert sum(far.line.asked.values()) == len(far.floor.services) + lost


@dataclass
class Names:
    """A resolver that forgets the cluster's name for a few questions, once the line has met a fault."""

    fault: Fault
    forgets: int = 3
    asked: int = 0
    resolve: Any = socket.getaddrinfo

    def look_up(self, host: Any, *args: Any, **named: Any) -> Any:
        """What `socket.getaddrinfo` does."""
        if host != CLUSTER:
            return self.resolve(host, *args, **named)
        self.asked += 1
        if self.fault.met and self.forgets:
            self.forgets -= 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self.resolve("127.0.0.1", *args, **named)


@long
def test_a_name_that_is_not_found_any_more_costs_time_only(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "kubeconfig-over-proxy"
    kubeconfig.write_text(kubeconfig.read_text().replace("127.0.0.1", CLUSTER))
    # The write is done, its answer and the name are lost.
    names = Names(far.line.fault("after"))
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    far.require_right(drive(far.floor.start(), *ENDS, seconds=90))
    assert (names.forgets, names.asked > 3) == (0, True)
    assert sum(far.line.asked.values()) == len(far.floor.services)


@some("what", "before", "half", "hang", quick=())
def test_looks_whose_answers_are_lost_cost_time_only(far: Far, what: Any) -> None:
    rollout = far.floor.start()
    far.line.fault(what, methods=READS, count=1 if what == "hang" else 2)
    far.require_right(drive(rollout, *ENDS, seconds=90))
    assert sum(far.line.asked.values()) == len(far.floor.services)


@long
@some("watching", "silent", "doubled", "disordered", "expired", "cut", "bookmarks", quick=("silent",))
def test_a_watch_that_lies_or_says_nothing_costs_seconds_at_most(far: Far, watching: Any) -> None:
    far.line.watching = watching
    with processes() as roles:
        for role in ("worker", "watcher", "sweeper"):
            roles.start(role)
        rollout = far.floor.start()
        assert wait_for(lambda: _state(rollout) in ENDS, seconds=PATIENCE_SECONDS), roles.logs()
    far.require_right(rollout)
    assert longest_silence(rollout) < UNWATCHED_SECONDS


def _state(rollout: Rollout) -> str:
    rollout.refresh_from_db()
    return rollout.state
