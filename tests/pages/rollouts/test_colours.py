"""The pages of a rollout say which colour has the traffic, their sizes, and what the sign-off sets off."""

import re
from typing import Any

import pytest
from django.test import Client

from releases.rollouts import looking, operations, overview
from releases.rollouts.graph import build_graph
from releases.rollouts.looking import WorkloadSeen
from releases.rollouts.members import Member
from releases.rollouts.models import Rollout
from releases.rollouts.running import View, seen_of
from tests.factories import Shop, make_release, roll_out, runs
from tests.soak import long

WORKLOADS: list[dict[str, Any]] = [
    {"kind": "Deployment", "name": f"shop-{colour}", "containers": ["app"], "colour": colour}
    for colour in ("blue", "green")
]
SPEC = {"workloads": WORKLOADS, "colours": {"label": "color", "services": ["shop"]}}
ABOUT = {"service": "shopping-service"}
PLAN: dict[str, Any] = {
    "waves": [
        {
            "services": ["shopping-service"],
            "after": [{"kind": "scale", **ABOUT, "colour": "idle", "replicas": [5, 10]}],
        }
    ],
    "each": [{"kind": "set_image", "colour": "idle"}],
    "switch": [
        {
            "steps": [
                {"kind": "switch_service", **ABOUT, "colour": "idle"},
                {"kind": "watch", **ABOUT, "minutes": 10},
                {"kind": "scale", **ABOUT, "colour": "live", "replicas": [6, 3, 0]},
            ]
        }
    ],
}


@pytest.fixture
def rollout(shop: Shop) -> Rollout:
    """Blue has the traffic with nine pods; green has grown to five of ten."""
    made = roll_out(make_release(shop, at="approved"), shop)
    operations.write_steps(made, build_graph(PLAN, [Member(name="shopping-service", spec=SPEC)]))
    named = {"idle": WORKLOADS[1], "live": WORKLOADS[0]}
    for step in made.steps.filter(params__has_key="colour"):
        more = {"selector": {"color": "green"}} if step.kind == "switch_service" else {}
        step.params |= more or {"workload": named[step.params["colour"]]}
        step.save(update_fields=["params"])
    made.steps.filter(kind="find_colours").update(before={"live": "blue", "idle": "green"}, state="succeeded")
    for role, size in (("live", 9), ("idle", 0)):
        made.steps.filter(kind="record_running", params__colour=role).update(before={"replicas": size})
    grown = made.steps.filter(kind="scale", params__colour="idle").order_by("position")
    made.steps.filter(pk=grown[1].pk).update(
        state="running",
        acted={"bounds": [10, 10]},
        intent={"changes": []},
        observed={"ready": 5, "wanted": 10},
    )
    return made


def page(shop: Shop, address: str) -> str:
    client = Client()
    client.force_login(shop.cast.author)
    return client.get(address, headers={"accept-language": "en"}).content.decode()


def switched(rollout: Rollout) -> None:
    changes = [{"object": "service/shop", "field": "selector.color", "before": "blue", "after": "green"}]
    found = rollout.steps.filter(kind="switch_service")
    found.update(acted={"selectors": {}}, intent={"changes": changes}, state="succeeded")


@long
def test_tiles_name_the_live_colour_and_both_sizes(shop: Shop, rollout: Rollout) -> None:
    text = page(shop, f"/rollouts/{rollout.pk}/")
    assert 'class="tile tile-blue tile-live"' in text
    assert 'class="tile tile-green"' in text
    assert "B 9" in text
    assert "G 5 → 10" in text
    switched(rollout)
    text = page(shop, f"/rollouts/{rollout.pk}/")
    assert 'class="tile tile-green tile-live"' in text
    assert 'class="tile tile-blue"' in text


@long
def test_what_follows_the_sign_off_stands_last_and_each_size_has_its_step(
    shop: Shop, rollout: Rollout
) -> None:
    view = overview.overview(rollout, shop.cast.author)
    assert [wave.plain for wave in view.waves] == [False, True, False]
    [member] = view.waves[-1].members
    assert [each.title.rpartition("× ")[2] for each in member.steps[2:]] == ["6", "3", "0"]


@long
def test_the_sign_off_says_what_it_sets_off(shop: Shop, rollout: Rollout) -> None:
    text = page(shop, f"/rollouts/{rollout.pk}/signoff/")
    assert "shop-blue → 6 → 3 → 0" in text
    assert "10" in text.partition("shop-blue → 6")[0].rpartition("<li>")[0].rpartition("<li>")[2]


@long
def test_the_way_back_begins_with_the_traffic_while_the_old_colour_stands(
    shop: Shop, rollout: Rollout
) -> None:
    address = f"/rollouts/{rollout.pk}/rollback/"
    assert "shape-turn-arrow" not in page(shop, address).partition('id="order"')[2]
    switched(rollout)
    assert "shape-turn-arrow" in page(shop, address).partition('id="order"')[2]
    shrunk = rollout.steps.filter(kind="scale", params__colour="live").order_by("position")
    rollout.steps.filter(pk=shrunk[0].pk).update(intent={"changes": []})
    assert "shape-turn-arrow" not in page(shop, address).partition('id="order"')[2]


def test_the_board_shows_what_the_live_colour_runs(shop: Shop) -> None:
    shop.shopping.spec = SPEC
    workloads = {("Deployment", each["name"]): _running(str(each["name"])) for each in WORKLOADS}
    service = {"metadata": {"name": "shop"}, "spec": {"selector": {"color": "green"}}}
    seen = seen_of(shop.shopping, View(workloads, [], services=[service]), before={})
    assert seen["images"] == {"app": "registry.test/shop-green:1"}


def _running(name: str) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "app", "image": f"registry.test/{name}:1"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": "shop", "uid": name, "generation": 1}
    return {"kind": "Deployment", "metadata": metadata, "spec": spec, "status": {}}


@pytest.mark.parametrize(
    ("colours", "sizes", "shown"),
    [
        (SPEC["colours"], [(0, 0), (8, 9)], [("blue", "", "0"), ("green", " tile-live", "8 → 9")]),
        ({"by": "pods"}, [(9, 9), (0, 0)], [("blue", " tile-live", "9"), ("green", "", "0")]),
        # While they share the pods, both have traffic.
        ({"by": "pods"}, [(5, 5), (5, 5)], [("blue", " tile-live", "5"), ("green", " tile-live", "5")]),
    ],
)
def test_the_page_of_a_service_shows_both_colours_and_which_has_the_traffic(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    colours: dict[str, Any],
    sizes: list[tuple[int, int]],
    shown: list[tuple[str, str, str]],
) -> None:
    shop.shopping.spec |= {**SPEC, "colours": colours}
    shop.shopping.save(update_fields=["spec"])
    row = runs(shop.shopping, shop.environment, "2.7.4")
    row.seen |= {"selectors": {"shop": {"color": "green"}}}
    row.save()
    workloads = [
        WorkloadSeen(kind="Deployment", name=str(each["name"]), ready=ready, wanted=wanted)
        for each, (ready, wanted) in zip(WORKLOADS, sizes, strict=True)
    ]
    monkeypatch.setattr(looking, "look", lambda *_of: looking.Look(workloads=tuple(workloads)))
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.outsider)
    page = client.get("/services/shopping-service/shop-production/").content.decode()
    tiles = re.findall(r'class="tile tile-(\w+)( tile-live)?">.*?</span>[^<]*?(\d+(?: → \d+)?)', page)
    assert tiles == shown
