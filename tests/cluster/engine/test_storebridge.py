"""StoreBridge's canary as its example ships: forward, a gate that breaks, and back.

The shares are watched for a second instead of five minutes, by the plan. Simulated nodes answer no request
and pull nothing: what asks for either is left out of the plan.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import translation

from portal.actors import Actor
from portal.people.operations import grant_role
from releases.catalog.models import Checklist, Environment, Plan, Service
from releases.catalog.operations import load_folder
from releases.rollouts.canary_share import share_text
from releases.rollouts.models import Rollout
from releases.rollouts.overview import overview
from tests.cluster.api import Json
from tests.cluster.conftest import Cluster
from tests.cluster.engine.test_canary import Metrics
from tests.cluster.objects import Space
from tests.factories import make_shop
from tests.people import BY_THE_PORTAL, person
from tests.portal.integrations.answering import answering
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
NAMESPACE, HOST = "storebridge-production", "registry.practice/"
WEB, CANARY, WORKERS = "storebridge-web", "storebridge-web-canary", "storebridge-worker-normal"
ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")


def put_objects(space: Space) -> None:
    """Create what the example runs in production, in the test's namespace."""
    for body in yaml.safe_load_all((EXAMPLES / "storebridge" / "objects.yaml").read_text()):
        if body["metadata"].get("namespace") == NAMESPACE:
            body["metadata"]["namespace"] = space.name
            space.create(_from_no_registry(body))
    for name in (WEB, WORKERS, "storebridge-worker-batch"):
        space.settle(name)


def _from_no_registry(body: Json) -> Json:
    made: Json = yaml.safe_load(yaml.safe_dump(body).replace(HOST, "registry.test/"))
    return made


def shorten(plan: Plan, **changes: Any) -> None:
    """Let the plan watch for a second, and ask simulated pods nothing."""
    spec = {**plan.spec, **changes}
    spec["canary"]["watch"] |= {"seconds": 1, "everySeconds": 5}
    spec["canary"]["watch"].pop("minutes")
    spec["each"] = [{"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 120}]
    for part in ("before", "after"):
        spec[part] = [each for each in spec[part] if each["kind"] not in {"http", "image_exists"}]
    plan.spec = spec
    plan.save(update_fields=["spec"])


@pytest.fixture
def metrics() -> Metrics:
    """What the plan's queries find."""
    return Metrics()


@pytest.fixture
def floor(
    gateway_api: Cluster,
    space: Space,
    transactional_db: None,
    metrics: Metrics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Floor]:
    """The example on the cluster of the test, with a Prometheus."""
    put_objects(space)
    shop = make_shop()
    with answering(metrics.answer) as server:
        monkeypatch.setenv("KUBECONFIG", str(gateway_api.kubeconfig_path))
        monkeypatch.setenv("STOREBRIDGE_PROMETHEUS_URL", server.url)
        catalog = (EXAMPLES / "storebridge" / "catalog.yaml").read_text()
        for source in (EXAMPLES / "connections.yaml",):
            (tmp_path / source.name).write_text(source.read_text())
        (tmp_path / "catalog.yaml").write_text(
            catalog.replace(f"namespace: {NAMESPACE}", f"namespace: {space.name}")
        )
        load_folder(tmp_path, actor=Actor.portal("a test", door="cli"))
        Service.objects.filter(system="storebridge").update(image="registry.test/storebridge/storebridge")
        environment, plan = (
            Environment.objects.get(name=NAMESPACE),
            Plan.objects.get(name=f"{NAMESPACE}-canary"),
        )
        shorten(plan)
        # What people tick is tried elsewhere.
        Checklist.objects.all().delete()
        author = shop.cast.author.username
        grant_role(author, role="release_manager", scope="team:storebridge", actor=BY_THE_PORTAL)
        person("storebridge-lead", ("team_lead", "team:storebridge"), ("pl", f"service:{WEB}"))
        person("storebridge-senior", ("infra_senior", "cluster_group:main"))
        yield Floor(shop, space, environment, plan, {WEB: Service.objects.get(name=WEB)})


def weights(floor: Floor) -> list[int]:
    [rule] = floor.space.get("httproutes", "storebridge")["spec"]["rules"]
    return [each["weight"] for each in rule["backendRefs"]]


def shares(rollout: Rollout) -> list[int]:
    """What the canary's Service was given, in its order."""
    written = rollout.steps.filter(kind="set_weight", acted__isnull=False).order_by("position")
    return [next(iter((each.acted or {})["weights"].values()))["storebridge-canary"] for each in written]


def at_rest(floor: Floor, image: str) -> bool:
    """Whether all is led and as large as it was, with this image in the web front."""
    canary = floor.space.get("deployments", CANARY)["spec"]["replicas"]
    bounds = floor.space.get("horizontalpodautoscalers", WEB)["spec"]
    sizes = (canary, bounds["minReplicas"], bounds["maxReplicas"], weights(floor))
    return sizes == (0, 3, 10, [100, 0]) and floor.image(WEB) == image


@long
def test_the_canary_goes_out_share_by_share_and_is_asked_back(floor: Floor) -> None:
    before = floor.image(WEB)
    rollout = drive(floor.start(), *ENDS, seconds=150)
    assert rollout.state == "succeeded", why(rollout)
    assert shares(rollout) == [10, 20, 50, 0]
    titles = [wave.title for wave in overview(rollout, floor.shop.cast.author).waves if not wave.plain]
    assert titles == ["작업자", "웹"]
    assert at_rest(floor, floor.wanted(WEB, "2.0.0"))
    assert rollout.verdict is not None
    assert rollout.verdict["exact"]
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=120)
    assert rollout.state == "rolled_back", why(rollout)
    assert at_rest(floor, before)


@long
def test_a_gate_that_breaks_takes_the_canary_back_by_itself(floor: Floor, metrics: Metrics) -> None:
    before = floor.image(WEB)
    rollout = floor.start()
    # The first share is well, the second is not.
    metrics.well = 1
    drive(rollout, *ENDS, seconds=150)
    assert rollout.state == "rolled_back", why(rollout)
    order = rollout.orders.get()
    assert (order.kind, order.by) == ("rollback", None)
    assert shares(rollout) == [10, 20]
    with translation.override("en"):
        assert (
            share_text(list(rollout.steps.filter(direction="forward").order_by("position")))
            == "canary 20 % of the traffic"
        )
    assert at_rest(floor, before)
