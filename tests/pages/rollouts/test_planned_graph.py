"""Before a rollout begins its waves are drawn as while it runs: nodes, edges, sizes, nothing begun."""

import re
from typing import Any

import pytest
from django.test import Client

from releases.models import Release
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release
from tests.soak import long

SHOP = {"service": "shopping-service"}
ROLLING: dict[str, Any] = {"each": [{"kind": "set_image"}, {"kind": "wait_rollout"}]}
TWO_WAVES: dict[str, Any] = {
    "before": [{"kind": "pods_running"}],
    "waves": [
        {"title": "First", "services": ["auth-service"]},
        {"title": "Second", "services": ["shopping-service", "payment-service"]},
    ],
    **ROLLING,
}
ONE_WAVE: dict[str, Any] = {"waves": [{"title": "Grow", "services": ["shopping-service"]}], **ROLLING}
WATCHED = {"minutes": 5, "everySeconds": 60, "gates": []}
PAIR: dict[str, Any] = {"stable": "shop", "canary": "shop-canary"}
ROUTED: dict[str, Any] = {**PAIR, "route": {"name": "shop", **PAIR}}


def colours(**more: Any) -> dict[str, Any]:
    """A service that stands twice."""
    workloads = [
        {"kind": "Deployment", "name": f"shop-{colour}", "containers": ["app"], "colour": colour}
        for colour in ("blue", "green")
    ]
    return {"workloads": workloads, "colours": more}


def canary(by: str) -> dict[str, Any]:
    """A plan that brings the version out by shares."""
    return {**ONE_WAVE, "canary": {"by": by, "steps": [10, 20, 50, 100], "watch": WATCHED}}


BLUE_GREEN: dict[str, Any] = {
    "waves": [
        {
            "title": "Grow",
            "services": ["shopping-service"],
            "after": [{"kind": "scale", **SHOP, "colour": "idle", "replicas": [5, 10, 15]}],
        }
    ],
    "each": [{"kind": "set_image", "colour": "idle"}, {"kind": "wait_rollout", "colour": "idle"}],
    "switch": [
        {"title": "Switch", "steps": [{"kind": "switch_service", **SHOP, "colour": "idle"}]},
        {"title": "Shrink", "steps": [{"kind": "scale", **SHOP, "colour": "live", "replicas": [12, 9, 0]}]},
    ],
}
STABLE = [{"kind": "Deployment", "name": "shop", "containers": ["app"]}]
AFTER = ("After", "0/1")
SHARES = "10 → 20 → 50 → 100 %"


def page(shop: Shop, address: str, **headers: str) -> str:
    client = Client(headers={"accept-language": "en"} | headers)
    client.force_login(shop.cast.author)
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def planned(shop: Shop, plan: dict[str, Any], spec: dict[str, Any], *services: str) -> Release:
    """A release that may start, by this plan."""
    shop.plan.spec = plan
    shop.plan.save(update_fields=["spec"])
    shop.shopping.spec = {**shop.shopping.spec, **spec}
    shop.shopping.save(update_fields=["spec"])
    items = [{"service": name, "version": "2.8.0"} for name in services or ("shopping-service",)]
    return make_release(shop, at="approved", items=items)


def nodes(drawn: str) -> list[tuple[str, str]]:
    """The nodes of the picture, each with what stands below its name."""
    return re.findall(r'<text x="32" y="22">(.*?)</text><text class="graph-note"[^>]*>(.*?)</text>', drawn)


def columns(drawn: str) -> int:
    """How many places from left to right the nodes stand at."""
    return len(set(re.findall(r'class="node [^"]*" transform="translate\((\d+) ', drawn)))


@long
@pytest.mark.parametrize(
    ("plan", "spec", "expected"),
    [
        pytest.param(ONE_WAVE, {}, [("shopping-service", "Waiting"), AFTER], id="rolling"),
        pytest.param(
            canary("pods"),
            {"workloads": STABLE, "canary": PAIR},
            [("shopping-service", SHARES), AFTER],
            id="by pods",
        ),
        pytest.param(
            canary("weight"),
            {"workloads": STABLE, "canary": ROUTED},
            [("shopping-service", SHARES), AFTER],
            id="by weight",
        ),
        pytest.param(
            canary("pods"), colours(by="pods"), [("shopping-service", SHARES), AFTER], id="taking turns"
        ),
        pytest.param(
            BLUE_GREEN,
            colours(label="color", services=["shop"]),
            [
                ("shopping-service", "5 → 10 → 15"),
                AFTER,
                ("shopping-service", "Waiting"),
                ("shopping-service", "12 → 9 → 0"),
            ],
            id="colours",
        ),
    ],
)
def test_a_strategy_is_drawn_before_it_runs(
    shop: Shop, plan: dict[str, Any], spec: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    release = planned(shop, plan, spec)
    drawn = page(shop, f"/releases/{release.number}/plan/")
    assert not Rollout.objects.exists()
    assert nodes(drawn) == expected
    assert drawn.count('<path class="edge"') == len(nodes(drawn)) - 1 == columns(drawn) - 1
    assert "edge-done" not in drawn
    assert set(re.findall(r'class="node (node-\w+)"', drawn)) == {"node-mute"}, "nothing has begun"
    assert 'class="plan-steps plan-numbered"' in drawn, "the same as a list, step by step"


@long
def test_services_of_a_wave_stand_below_each_other_and_waves_are_joined(shop: Shop) -> None:
    services = ("auth-service", "shopping-service", "payment-service")
    release = planned(shop, TWO_WAVES, {}, *services)
    drawn = page(shop, f"/releases/{release.number}/plan/", hx_request="true")
    assert "<html" not in drawn, "the panel of the start shows it as well"
    assert [name for name, _note in nodes(drawn)] == ["Before", *services, "After"]
    assert re.findall(r'class="wave-title"[^>]*>(.*?)</text>', drawn) == ["First", "Second"]
    assert (columns(drawn), drawn.count('<path class="edge"')) == (4, 3)
    assert not Rollout.objects.exists()
