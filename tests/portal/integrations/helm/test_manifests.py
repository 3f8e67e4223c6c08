"""What a chart renders: compared, checked, and told without a Secret's values."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import PermanentError
from portal.integrations.helm import manifests
from tests.cluster.objects import config_map, cron_job, deployment
from tests.soak import long

Json = dict[str, Any]
DIGEST = f"sha256:{'a' * 64}"
plain = st.text("abcxyz", min_size=1, max_size=5)
data = st.dictionaries(plain, plain, max_size=4)


def secret(values: Json) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": values}


@long
@given(before=data, after=data)
def test_every_changed_field_is_shown_and_no_other(before: Json, after: Json) -> None:
    found = manifests.differences([config_map("c", **before)], [config_map("c", **after)])
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert {f"data.{key}" for key in changed} >= {each.field for each in found} - {"data"}
    assert bool(found) == bool(changed)


@long
@given(before=data, after=data)
def test_a_secret_shows_that_it_changes_and_not_to_what(before: Json, after: Json) -> None:
    hidden = {key: f"canary-{value}" for key, value in before.items()}
    other = {key: f"canary-{value}" for key, value in after.items()}
    found = manifests.differences([secret(hidden)], [secret(other)])
    assert bool(found) == (before != after)
    assert "canary" not in json.dumps([vars(each) for each in found])
    assert all(each.before != each.after for each in found)
    assert "canary" not in manifests.dumped([secret(hidden)])


def test_a_password_that_a_pod_is_told_is_not_shown() -> None:
    def told(password: str) -> Json:
        found = deployment("web")
        found["spec"]["template"]["spec"]["containers"][0]["env"] = [
            {"name": "DB_PASSWORD", "value": password}
        ]
        return found

    [found] = manifests.differences([told("canary-old")], [told("canary-new")])
    assert found.field.endswith("env[DB_PASSWORD].value")
    assert "canary" not in found.before + found.after
    assert found.before != found.after


def test_objects_that_come_and_go_are_named() -> None:
    found = manifests.differences([config_map("old")], [config_map("new")])
    assert [(each.thing, each.before, each.after) for each in found] == [
        ("ConfigMap/new", "", "ConfigMap/new"),
        ("ConfigMap/old", "ConfigMap/old", ""),
    ]


def test_what_is_random_is_found_by_rendering_twice() -> None:
    first, second = secret({"password": "one", "user": "app"}), secret({"password": "two", "user": "app"})
    assert manifests.fresh([first], [second]) == ["Secret/s data.password"]


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        (f"registry.example/a/b@{DIGEST}", True),
        (f"registry.example:5000/a/b:1.2@{DIGEST}", True),
        ("registry.example/a/b:1.2", False),
        ("registry.example:5000/a/b", False),
        (f"registry.example/a/b:latest@{DIGEST}", False),
    ],
)
def test_only_a_digest_pins_and_latest_never_does(image: str, pinned: bool) -> None:
    assert manifests.is_pinned(image) == pinned


def test_images_are_found_in_all_that_makes_pods_and_allowed_by_name_only() -> None:
    body = deployment("web", image="r.example/web:1")
    body["spec"]["template"]["spec"]["initContainers"] = [
        {"name": "first", "image": "r.example/first:latest"}
    ]
    found = manifests.images([body, cron_job("night", image="r.example/job"), config_map("c")])
    assert [each[2] for each in found] == ["r.example/first:latest", "r.example/web:1", "r.example/job"]
    allowed = ["r.example/web:1", "r.example/job"]
    assert manifests.unpinned(found, allowed=allowed) == ["r.example/first:latest"]
    assert manifests.unpinned(found, allowed=["r.example/web:2"]) == sorted(each[2] for each in found)


def test_hooks_with_made_up_names_are_objects_and_no_part_of_the_release() -> None:
    hook = {
        "kind": "Job",
        "metadata": {"generateName": "go-", "annotations": {manifests.HOOK: "pre-upgrade"}},
    }
    found = manifests.objects(yaml.safe_dump_all([hook, config_map("c")]))
    assert manifests.name_of(found[0]) == "Job/go-"
    assert [manifests.name_of(each) for each in manifests.without_hooks(found)] == ["ConfigMap/c"]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    "text", [BOMB, "a: &a [*a]", "- a\n- b", "kind: A\nmetadata: {}", "a: [", "!!python/object:os.system {}"]
)
def test_what_is_no_list_of_objects_is_refused(text: str) -> None:
    with pytest.raises(PermanentError) as found:
        manifests.objects(text)
    assert found.value.code == "helm_does_not_render"
