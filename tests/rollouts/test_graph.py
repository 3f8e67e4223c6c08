"""From a plan to a graph: the order is the plan's, whatever the plan."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from releases.rollouts.graph import Node, build_graph
from releases.rollouts.members import Member
from tests.soak import long

NAMES = ["alpha", "beta", "gamma", "delta", "epsilon"]


def by_key(nodes: list[Node]) -> dict[str, Node]:
    return {node.key: node for node in nodes}


def comes_after(nodes: dict[str, Node], later: str, earlier: str) -> bool:
    """Whether one step waits for another, directly or through others."""
    direct = nodes[later].depends_on
    return earlier in direct or any(comes_after(nodes, each, earlier) for each in direct)


@st.composite
def plans(draw: st.DrawFn) -> tuple[dict[str, Any], list[Member]]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    released = draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    waves: list[list[str]] = []
    joins = draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    for name, joined in zip(names, joins, strict=True):
        if waves and joined:
            waves[-1].append(name)
        else:
            waves.append([name])
    spec = {
        "before": [{"kind": "access_check"}] * draw(st.integers(0, 2)),
        "waves": [{"title": "", "services": wave} for wave in waves],
        "each": [{"kind": "set_image"}, {"kind": "wait_rollout"}, {"kind": "health"}],
        "after": [{"kind": "http", "url": "http://shop.example/"}] * draw(st.integers(0, 2)),
    }
    return spec, [Member(name=name) for name in released]


@long
@given(plan=plans())
def test_waves_follow_each_other_and_members_of_one_do_not(plan: tuple[dict[str, Any], list[Member]]) -> None:
    spec, members = plan
    nodes = by_key(build_graph(spec, members))
    sets = [node for node in nodes.values() if node.kind == "set_image"]
    assert {node.service for node in sets} == {member.name for member in members}
    for node in sets:
        for other in sets:
            waits = comes_after(nodes, node.key, f"{other.wave}.{other.service}.health")
            assert waits == (other.wave < node.wave)


@long
@given(plan=plans())
def test_what_runs_is_recorded_before_it_is_changed_and_verified_last(
    plan: tuple[dict[str, Any], list[Member]],
) -> None:
    spec, members = plan
    graph = build_graph(spec, members)
    nodes = by_key(graph)
    assert len(nodes) == len(graph)
    verify = next(node for node in graph if node.kind == "verify_digests")
    for node in graph:
        assert all(nodes[each].position < node.position for each in node.depends_on)
        if node.kind == "set_image":
            assert comes_after(nodes, node.key, f"{node.wave}.{node.service}.record_running")
            assert comes_after(nodes, verify.key, node.key)
        if node.kind == "record_running":
            # All is recorded at the start: a foreign change from then on is seen.
            assert all(nodes[each].params["section"] == "before" for each in node.depends_on)


def test_several_workloads_of_a_service_are_set_and_waited_for_each() -> None:
    workloads = [{"kind": "Deployment", "name": "web"}, {"kind": "StatefulSet", "name": "worker"}]
    member = Member(name="store", spec={"workloads": workloads})
    spec = {"waves": [{"services": ["store"]}], "each": [{"kind": "set_image"}, {"kind": "wait_rollout"}]}
    nodes = by_key(build_graph(spec, [member]))
    assert {"1.store.set_image.web", "1.store.set_image.worker"} <= nodes.keys()
    assert set(nodes["1.store.wait_rollout.web"].depends_on) == {
        "1.store.set_image.web",
        "1.store.set_image.worker",
    }


MIGRATED = Member(name="web", spec={"jobs": [{"name": "migrate", "cronJob": "web-migrate"}]})
ELSEWHERE = {"kind": "scale", "service": "web", "replicas": 3, "workload": "other"}
MIGRATION = {"kind": "run_job", "service": "web", "job": "migrate"}


@long
@given(plan=plans(), places=st.sets(st.sampled_from(("before", "after")), min_size=1))
def test_a_job_around_a_wave_stands_between_the_waves_beside_it(
    plan: tuple[dict[str, Any], list[Member]], places: set[str]
) -> None:
    spec, members = plan
    member = members[0]
    jobs = {"jobs": [{"name": "migrate", "cronJob": "any"}]}
    members = [Member(name=member.name, spec=jobs), *members[1:]]
    wave = next(each for each in spec["waves"] if member.name in each["services"])
    for place in places:
        wave[place] = [{"kind": "run_job", "id": place, "service": member.name, "job": "migrate"}]
    nodes = by_key(build_graph(spec, members))
    own = nodes[f"{_wave_of(nodes, member.name)}.{member.name}.set_image"].wave
    for node in [each for each in nodes.values() if each.kind == "set_image"]:
        for place in places:
            job = f"{own}.{member.name}.{place}"
            is_before = node.wave < own or (node.wave == own and place == "after")
            assert comes_after(nodes, job, node.key) is is_before
            assert comes_after(nodes, node.key, job) is not is_before


def _wave_of(nodes: dict[str, Node], service: str) -> int:
    return next(node.wave for node in nodes.values() if node.kind == "set_image" and node.service == service)


def test_a_job_of_a_service_that_is_not_released_is_left_out() -> None:
    waves = [{"services": ["web"], "before": [MIGRATION]}, {"services": ["api"]}]
    assert all(node.kind != "run_job" for node in build_graph({"waves": waves}, [Member(name="api")]))


def test_a_job_runs_before_a_wave_of_which_nothing_else_is_released() -> None:
    waves = [{"services": ["worker"], "before": [MIGRATION]}, {"services": ["web"]}]
    nodes = by_key(build_graph({"waves": waves}, [MIGRATED]))
    assert comes_after(nodes, "2.web.set_image", "1.web.run_job")
    assert nodes["1.web.run_job"].params["job"]["cronJob"] == "web-migrate"


def test_what_is_scaled_or_switched_beside_a_wave_is_recorded_at_the_start() -> None:
    scale = {"kind": "scale", "service": "web", "replicas": 3}
    switch = {"kind": "switch_service", "service": "web", "services": ["a"], "selector": {"color": "green"}}
    waves = [{"services": ["api"]}, {"services": ["web"], "before": [scale], "after": [switch]}]
    nodes = by_key(build_graph({"waves": waves}, [Member(name="api"), Member(name="web")]))
    assert nodes["2.web.scale"].params["workload"]["name"] == "web"
    assert comes_after(nodes, "2.web.scale", "2.web.record_running")
    assert comes_after(nodes, "2.web.switch_service", "2.web.record_services")
    assert not comes_after(nodes, "2.web.record_services", "1.api.set_image")
    assert comes_after(nodes, "2.web.switch_service", "2.web.wait_rollout")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"waves": []}, "plan.waves"),
        ({"waves": [{"services": ["web"]}, {"services": ["web"]}]}, "plan.waves"),
        ({"waves": [{"services": ["web"]}], "each": [{"kind": "dance"}]}, "plan.each[0].kind"),
        ({"waves": [{"services": ["web"], "before": [MIGRATION]}]}, "plan.waves[0].before[0].job"),
        (
            {"waves": [{"services": ["web"], "before": [{**ELSEWHERE}]}]},
            "plan.waves[0].before[0].workload",
        ),
        (
            {"waves": [{"services": ["web"], "after": [{"kind": "set_image", "service": "web"}]}]},
            "plan.waves[0].after[0].kind",
        ),
        ({"waves": [{"services": ["web"]}], "before": [{"kind": "set_image"}]}, "plan.before[0].kind"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_by_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        build_graph(spec, [Member(name="web")])
    assert [each["field"] for each in refusal.value.missing] == [field]


@long
@given(plan=plans(), services=st.lists(st.sampled_from(NAMES), max_size=4))
def test_what_follows_the_sign_off_comes_after_all_else(
    plan: tuple[dict[str, Any], list[Member]], services: list[str]
) -> None:
    spec, members = plan
    steps = [
        {"kind": "switch_service", "service": name, "services": [name], "selector": {"color": "green"}}
        for name in services
    ]
    stages = [{"title": "Switch", "steps": [each]} for each in steps]
    graph = build_graph({**spec, "switch": stages}, members)
    nodes = by_key(graph)
    part = [node for node in graph if node.params["section"] == "switch"]
    released = {member.name for member in members}
    assert [node.service for node in part] == [name for name in services if name in released]
    others = [node for node in graph if node not in part and node.kind != "record_services"]
    assert all(comes_after(nodes, node.key, each.key) for node in part for each in others)
    waves = [node.wave for node in part]
    assert waves == sorted(set(waves))
    assert all(node.wave > each.wave for node in part for each in others)


def test_a_step_that_cannot_stand_after_the_sign_off_is_named() -> None:
    spec = {
        "waves": [{"services": ["store"]}],
        "switch": [{"steps": [{"kind": "set_image", "service": "store"}]}],
    }
    with pytest.raises(Invalid) as error:
        build_graph(spec, [Member(name="store")])
    assert [each["field"] for each in error.value.missing] == ["plan.switch[0].steps[0].kind"]


def test_only_canaries_are_promoted_and_what_follows_waits_for_them_alone() -> None:
    each = [{"kind": kind} for kind in ("set_image", "wait_rollout", "promote", "health")]
    spec = {"waves": [{"title": "", "services": ["alpha", "beta"]}], "each": each}
    canary = {"workloads": [{"kind": "Rollout", "name": "a"}, {"kind": "Deployment", "name": "b"}]}
    nodes = by_key(build_graph(spec, [Member(name="alpha", spec=canary), Member(name="beta")]))
    assert [key for key, node in nodes.items() if node.kind == "promote"] == ["1.alpha.promote"]
    assert nodes["1.alpha.promote"].params["workload"]["name"] == "a"
    assert nodes["1.alpha.health"].depends_on == ("1.alpha.promote",)
    assert nodes["1.beta.health"].depends_on == ("1.beta.wait_rollout",)


def test_a_daemon_set_has_no_size_and_manifests_must_be_named() -> None:
    agent = Member(name="agent", spec={"workloads": [{"kind": "DaemonSet", "name": "agent"}]})
    for step in ({"kind": "scale", "replicas": 2}, {"kind": "apply_manifests"}):
        wave = {"services": ["agent"], "before": [{**step, "service": "agent"}]}
        with pytest.raises(Invalid):
            build_graph({"waves": [wave]}, [agent])


COLOURED = Member(
    name="shop",
    spec={
        "workloads": [
            {"kind": "Deployment", "name": colour, "containers": ["web"], "colour": colour}
            for colour in ("blue", "green")
        ],
        "colours": {"label": "color", "services": ["shop"]},
        "clusterView": {"kind": "jgroups", "port": 80},
    },
)


def test_what_is_looked_at_after_the_waves_is_of_its_service_and_of_a_colour_only_where_that_goes_out() -> (
    None
):
    spec = {
        "waves": [{"services": ["shop"]}, {"services": ["web"]}],
        "before": [{"kind": "health", "service": "web"}],
        "each": [{"kind": "set_image", "colour": "live"}],
        "after": [
            {"kind": "health", "service": "shop", "colour": "idle"},
            {"kind": "cluster_view", "service": "shop", "colour": "idle"},
            {"kind": "health", "service": "shop", "id": "whole"},
        ],
    }
    web = Member(name="web", spec={})
    looks = {
        key: node.service
        for key, node in by_key(build_graph(spec, [COLOURED, web])).items()
        if node.kind in {"health", "cluster_view", "find_colours"}
    }
    own = dict.fromkeys(("1.shop.find_colours", "after.health", "after.cluster_view", "after.whole"), "shop")
    assert looks == {"before.health": "web", **own}
    # What the live colour stands at is recorded, and what the idle one does, which only the end looks at.
    alone = by_key(build_graph(spec, [web]))
    assert [key for key in alone if key.startswith(("1.shop", "after."))] == [
        "after.whole",
        "after.verify_digests",
    ]


@pytest.mark.parametrize(
    ("step", "member"),
    [
        ({"kind": "health", "service": "web", "colour": "idle"}, Member(name="web", spec={})),
        ({"kind": "cluster_view", "service": "web"}, Member(name="web", spec={})),
    ],
)
def test_a_look_after_the_waves_that_its_service_does_not_know_fits_no_release(
    step: dict[str, Any], member: Member
) -> None:
    with pytest.raises(Invalid) as refused:
        build_graph({"waves": [{"services": ["web"]}], "after": [step]}, [member])
    assert [each["field"].startswith("plan.after[0].") for each in refused.value.missing] == [True]
