"""What is told of a service that is not as it should be: nothing of equals, each change once, both ways."""

import copy
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from releases.rollouts.findings.differences import Difference, differences, mark_of, read
from tests.soak import long, many, repeated

Json = dict[str, Any]
NAMES = ("Deployment/web", "Deployment/worker", "StatefulSet/cache")
SERVICES = ("web", "web-api")
# What can happen to a workload; a missing one has nothing else.
CHANGES = ("image", "content", "replicas", "bounds", "recreated")
BOUNDS = [None, {"min": 1, "max": 3}, {"min": 3, "max": 10}]


@dataclass(frozen=True)
class Changed:
    """A state, another one, and what is to be told of it: (code, object, field)."""

    expected: Json
    seen: Json
    told: Counter[tuple[str, str, str]]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def image(number: int, *, pinned: bool) -> str:
    """A reference; what is pinned says its digest, the other one a tag that may move."""
    return f"registry.test/shop/web@{digest(number)}" if pinned else f"registry.test/shop/web:{number}"


def whole(workloads: Json, selectors: Json) -> Json:
    """A service as the watcher keeps it: its digests are those of its workloads."""
    found = {each for row in workloads.values() if row for each in row["digests"]}
    return {"workloads": workloads, "digests": sorted(found), "selectors": selectors}


@st.composite
def states(draw: st.DrawFn) -> Json:
    """A service at rest; no two workloads run the same image."""
    workloads: Json = {}
    for place, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))):
        number = 10 * place + 1
        workloads[name] = {
            "uid": f"uid-{place}",
            "replicas": draw(st.integers(0, 5)),
            "images": {"app": image(number, pinned=draw(st.booleans()))},
            "digests": [digest(number)],
            "autoscaler": draw(st.sampled_from(BOUNDS)),
        }
    names = draw(st.lists(st.sampled_from(SERVICES), unique=True))
    return whole(workloads, {name: {"app": name} for name in names})


@st.composite
def changes(draw: st.DrawFn, *, with_missing: bool = True) -> Changed:
    """A service at rest, and the same after some things have happened to it."""
    expected = draw(states())
    seen = copy.deepcopy(expected)
    told: Counter[tuple[str, str, str]] = Counter()
    for name, row in seen["workloads"].items():
        if with_missing and draw(st.booleans()) and draw(st.booleans()):
            seen["workloads"][name] = None
            told["missing", name, ""] += 1
            continue
        kinds = draw(st.sets(st.sampled_from(CHANGES)))
        # Where the reference is another, it says what runs; that the digest is another follows.
        for kind in sorted(kinds - ({"content"} if "image" in kinds else set())):
            told.update(happen(kind, name, row))
    for name in seen["selectors"]:
        if draw(st.booleans()):
            seen["selectors"][name] = {"app": name, "color": "green"}
            told["selector", f"Service/{name}", "selector"] += 1
    return Changed(expected, whole(seen["workloads"], seen["selectors"]), told)


def happen(kind: str, name: str, row: Json) -> list[tuple[str, str, str]]:
    """Change a workload; returns what is to be told, which is nothing where another owns the field.

    The kinds come in the order of their names: the bounds are settled before the replicas.
    """
    number = int(row["digests"][0].removeprefix("sha256:"), 16)
    pinned = "@" in row["images"]["app"]
    if kind == "bounds":
        row["autoscaler"] = {"min": 2, "max": 20}
        return [("bounds", name, "")]
    if kind == "content":
        if pinned:
            return []
        row["digests"] = [digest(number + 5)]
        return [("content", name, "")]
    if kind == "image":
        row["images"]["app"] = image(number + 1, pinned=pinned)
        row["digests"] = [digest(number + 1)]
        return [("image", name, "image[app]")]
    if kind == "recreated":
        row["uid"] = f"{row['uid']}-again"
        return [("recreated", name, "")]
    row["replicas"] += 1
    return [] if row["autoscaler"] else [("replicas", name, "replicas")]


def told_of(found: list[Difference]) -> Counter[tuple[str, str, str]]:
    return Counter((each.code, each.object, each.field) for each in found)


@repeated
@many
@given(states())
def test_nothing_is_told_of_equal_states(state: Json) -> None:
    assert differences(state, copy.deepcopy(state)) == []


@repeated
@many
@given(states())
def test_what_was_never_looked_at_differs_from_nothing(state: Json) -> None:
    assert differences({}, state) == []


def test_what_was_seen_all_along_is_no_more_approved_for_that() -> None:
    web = {"uid": "u", "replicas": 1, "images": {"app": image(1, pinned=False)}, "digests": [digest(2)]}
    state = whole({"Deployment/web": web}, {})
    found = differences(state | {"digests": [digest(1)]}, state)
    assert told_of(found) == {("content", "Deployment/web", ""): 1}


@repeated
@many
@given(changes())
def test_every_change_is_named_once_and_nothing_else(changed: Changed) -> None:
    found = differences(changed.expected, changed.seen)

    assert told_of(found) == changed.told
    assert read([each.as_json for each in found]) == found


@long
@repeated
@many
@given(changes(with_missing=False))
def test_there_and_back_are_the_same_differences_the_other_way_round(changed: Changed) -> None:
    there = differences(changed.expected, changed.seen)
    back = differences(changed.seen, changed.expected)

    turned = [replace(each, expected=each.found, found=each.expected) for each in back]
    assert sorted(map(values, turned)) == sorted(map(values, there))


def values(each: Difference) -> tuple[str, ...]:
    """What a difference says; any digest of the whole service may be expected, one is found."""
    return each.what[:3] if each.code == "content" else each.what


@long
@repeated
@many
@given(changes(), changes())
def test_one_mark_is_one_set_of_differences(one: Changed, other: Changed) -> None:
    first, second = (differences(each.expected, each.seen) for each in (one, other))

    assert (mark_of(first) == mark_of(second)) == ([e.what for e in first] == [e.what for e in second])
