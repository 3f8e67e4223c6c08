"""StoreBridge as its example ships, web front and both kinds of workers: its plans out, failing, and back.

What the plans watch, hold and let settle takes a second instead of minutes (examples.py). On the real control
plane nodes are simulated; nothing is left out of the plans.
"""

from collections.abc import Callable, Iterator

import pytest
from django.utils import translation

from portal.errors import Conflict
from releases import gates
from releases import operations as release_operations
from releases.models import Release
from releases.rollouts import measuring
from releases.rollouts.canary_share import share_text
from releases.rollouts.models import Rollout
from releases.rollouts.overview import overview
from tests.cluster.engine.examples import System, shorten
from tests.cluster.engine.test_canary import Metrics
from tests.factories import sign_off
from tests.portal.integrations.answering import answering
from tests.rollouts.floor import drive, why
from tests.soak import long

SYSTEM, PRODUCTION, CANARY = "storebridge", "storebridge-production", "storebridge-production-canary"
WEB, WORKERS = "storebridge-web", ("storebridge-worker-normal", "storebridge-worker-batch")
SERVICES = (WEB, *WORKERS)
ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")
BACK = ("rolled_back", "rollback_failed", "paused")


class Traffic(Metrics):
    """A Prometheus by which all is well, but for a canary of more than a tenth, where its share is asked."""

    share: Callable[[], int] | None = None

    def value(self, query: str) -> float:
        errors = "5.." in query and "-canary" in query
        return 0.9 if errors and self.share and self.share() > 10 else super().value(query)


@pytest.fixture
def metrics() -> Traffic:
    """What the plans' queries find."""
    return Traffic()


@pytest.fixture
def bridge(system: System, metrics: Traffic, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """The example, with a Prometheus."""
    shorten(SYSTEM)
    with answering(metrics.answer) as server:
        monkeypatch.setenv("STOREBRIDGE_PROMETHEUS_URL", server.url)
        yield system


def start(
    bridge: System, environment: str, *, plan: str = "", version: str = "v2.6.0", web: str = ""
) -> Rollout:
    """Start a release of all three services; `web` gives the front a version of its own."""
    versions = dict.fromkeys(SERVICES, version) | {WEB: web or version}
    return bridge.start(bridge.release(environment, versions, plan=plan or environment))


def asked_for(rollout: Rollout) -> dict[str, set[str]]:
    """What the services' workloads ask for once the release is out."""
    return {item.service.name: {item.image} for item in rollout.release.items.select_related("service")}


def of_the_release(bridge: System, environment: str) -> dict[str, set[str]]:
    """What they ask for now."""
    found = bridge.images(environment)
    return {name: found[name] for name in SERVICES}


def order(rollout: Rollout) -> list[str]:
    """The migration, and each service that was given its image, as they began."""
    begun = rollout.steps.filter(kind__in=("run_job", "set_image"), direction="forward").order_by("acted_at")
    return [each.kind if each.kind == "run_job" else each.service.name for each in begun if each.service]


@long
@pytest.mark.parametrize("environment", ["storebridge-dev", "storebridge-staging", PRODUCTION])
def test_the_workers_and_then_the_web_front_go_out_after_the_migration_and_back(
    bridge: System, environment: str
) -> None:
    before = bridge.images(environment)
    sizes = scale(bridge, environment)
    rollout = drive(start(bridge, environment), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert of_the_release(bridge, environment) == asked_for(rollout)
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    migration, *workers, web = order(rollout)
    assert (migration, set(workers), web) == ("run_job", set(WORKERS), WEB)
    assert scale(bridge, environment) == sizes
    drive(bridge.back(rollout), *BACK, seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    assert (bridge.images(environment), scale(bridge, environment)) == (before, sizes)


def scale(bridge: System, environment: str) -> dict[str, int]:
    """How many pods each Deployment asks for."""
    found = bridge.space(environment).find("deployments")
    return {each["metadata"]["name"]: each["spec"]["replicas"] for each in found}


@long
def test_a_web_front_whose_health_is_bad_fails_and_the_workers_go_back_with_it(bridge: System) -> None:
    before = bridge.images(PRODUCTION)
    rollout = start(bridge, PRODUCTION, web="v2.6.0-unwell")
    rollout.steps.filter(kind="health").update(timeout_seconds=2)
    drive(rollout, *ENDS, seconds=90)
    assert rollout.state == "failed", why(rollout)
    failed = rollout.steps.get(state="failed")
    assert (failed.kind, failed.service.name if failed.service else "") == ("health", WEB)
    assert of_the_release(bridge, PRODUCTION) == asked_for(rollout)
    drive(bridge.back(rollout), *BACK, seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    assert bridge.images(PRODUCTION) == before


@long
def test_for_the_peak_only_the_bounds_of_the_web_front_grow(bridge: System) -> None:
    before, bounds = bridge.images(PRODUCTION), autoscaled(bridge)
    release = bridge.release(PRODUCTION, {WEB: "v2.5.1"}, plan="storebridge-production-peak")
    rollout = drive(bridge.start(release), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert autoscaled(bridge) == (6, 10)
    drive(bridge.back(rollout), *BACK, seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    assert (bridge.images(PRODUCTION), autoscaled(bridge)) == (before, bounds)


def autoscaled(bridge: System) -> tuple[int, int]:
    """Between how many pods the autoscaler keeps the web front."""
    spec = bridge.space(PRODUCTION).get("horizontalpodautoscalers", WEB)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def weights(bridge: System) -> list[int]:
    [rule] = bridge.space(PRODUCTION).get("httproutes", "storebridge")["spec"]["rules"]
    return [each["weight"] for each in rule["backendRefs"]]


def shares(rollout: Rollout) -> list[int]:
    """What the canary's Service was given, in its order."""
    written = rollout.steps.filter(kind="set_weight", acted__isnull=False).order_by("position")
    return [next(iter((each.acted or {})["weights"].values()))["storebridge-canary"] for each in written]


def at_rest(bridge: System) -> bool:
    """Whether all is led and as large as it was."""
    return (scale(bridge, PRODUCTION)["storebridge-web-canary"], autoscaled(bridge), weights(bridge)) == (
        0,
        (3, 10),
        [100, 0],
    )


def announced(bridge: System, release: Release) -> Release:
    """Answer what is checked on the way and after it, sign the result off, and announce it."""
    for phase in ("during", "after"):
        bridge.answer(release, phase)
    sign_off(release)
    return release_operations.announce_release(release.number, actor=bridge.actor)


def measured_bad(release: Release) -> set[str]:
    """What is measured bad, by its title, while the result waits for its sign-off."""
    for gate in gates.measured_now().filter(release=release, item=None):
        measuring.measure(gate.pk)
    return {gate.params["title"] for gate in release.gates.filter(item=None) if gate.is_breached}


@long
def test_the_canary_goes_out_share_by_share_is_announced_and_asked_back(
    bridge: System, metrics: Traffic
) -> None:
    before = bridge.images(PRODUCTION)
    rollout = drive(start(bridge, PRODUCTION, plan=CANARY), *ENDS, seconds=150)
    assert rollout.state == "succeeded", why(rollout)
    assert shares(rollout) == [10, 20, 50, 0]
    assert of_the_release(bridge, PRODUCTION) == asked_for(rollout)
    titles = [wave.title for wave in overview(rollout, bridge.manager).waves if not wave.plain]
    assert titles == ["작업자", "웹"]
    assert at_rest(bridge)
    assert rollout.verdict is not None
    assert rollout.verdict["exact"]
    phases = [rollout.release.checks.filter(phase=phase).count() for phase in ("before", "during", "after")]
    assert phases == [7, 6, 6]
    # What its last share was watched by is measured on.
    metrics.well = -1
    assert measured_bad(rollout.release) == {"오류율"}
    with pytest.raises(Conflict):
        sign_off(rollout.release)
    metrics.well = 10**6
    assert measured_bad(rollout.release) == set()
    assert announced(bridge, rollout.release).state == "announced"
    drive(bridge.back(rollout), *BACK, seconds=120)
    assert rollout.state == "rolled_back", why(rollout)
    assert at_rest(bridge)
    assert of_the_release(bridge, PRODUCTION) == {name: before[name] for name in SERVICES}


@long
def test_a_gate_that_breaks_takes_the_canary_and_the_workers_back_by_itself(
    bridge: System, metrics: Traffic
) -> None:
    before = bridge.images(PRODUCTION)
    metrics.share = lambda: weights(bridge)[1]
    rollout = drive(start(bridge, PRODUCTION, plan=CANARY), *ENDS, seconds=150)
    assert rollout.state == "rolled_back", why(rollout)
    order = rollout.orders.get()
    assert (order.kind, order.by) == ("rollback", None)
    assert shares(rollout) == [10, 20]
    forward = list(rollout.steps.filter(direction="forward").order_by("position"))
    with translation.override("en"):
        assert share_text(forward) == "canary 20 % of the traffic"
    assert at_rest(bridge)
    assert of_the_release(bridge, PRODUCTION) == {name: before[name] for name in SERVICES}
