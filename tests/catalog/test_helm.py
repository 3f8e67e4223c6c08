"""A service under Helm in the catalog: what contradicts itself is named, and one plan may hold both kinds."""

from pathlib import Path
from typing import Any

import pytest

from portal.errors import Invalid, PermanentError
from releases.catalog.charts import values_for
from releases.catalog.documents import read, read_text
from releases.catalog.operations import check_documents
from releases.rollouts.graph import build_graph
from releases.rollouts.members import Member
from tests.catalog.test_documentation import PAGE
from tests.charts import write_chart

DIGEST = f"sha256:{'a' * 64}"
EXAMPLE = PAGE.read_text().split("## A system in one file\n```yaml\n")[1].split("```")[0]
UNDER_HELM = """  helm:
    chart: shop/order-api
    release: order-api
    image: {digest: image.digest}
    values: {shop-production: {replicaCount: 3}}
  dependencies: []
"""
GOOD = EXAMPLE.replace("  dependencies: []\n", UNDER_HELM).replace(
    "{kind: set_image}", "{kind: helm_backup}, {kind: helm_upgrade}"
)
SCALED = "{kind: scale, service: order-api, replicas: 2}"
SECOND = """---
apiVersion: portal/v1
kind: Service
metadata: {name: second}
spec: {team: commerce, system: shop, image: r.example/a/b, environments: [shop-production],
  workloads: [{kind: Deployment, name: second, containers: [app]}],
  helm: {chart: b, release: order-api, image: {tag: image}}}
"""


def problems(text: str) -> list[str]:
    documents, wrong = read_text(text, "catalog.yaml")
    return [str(each) for each in wrong + check_documents(documents, {})]


def test_a_service_under_helm_and_its_plan_are_in_order() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{kind: helm_backup}, {kind: helm_upgrade}", "{kind: set_image}", "under Helm; `each` has no"),
        ("{kind: helm_backup}, ", "", "Before helm_upgrade stands helm_backup"),
        (
            "{kind: helm_upgrade}",
            "{kind: helm_upgrade}, {kind: helm_upgrade}",
            "may stand in `each` only once",
        ),
        ("services: [order-api]}]", f"services: [order-api], after: [{SCALED}]}}]", "a value of its chart"),
        ("values: {shop-production:", "values: {elsewhere:", "does not run in elsewhere"),
        ("chart: shop/order-api", "chart: ../order-api", "a folder below the one that an administrator"),
        ("chart: shop/order-api", "chart: /etc", "a folder below the one that an administrator"),
        ("chart: shop/order-api", "chart: https://charts.example/x", "a folder below the one"),
        ("release: order-api", "release: Order", "the name of a Helm release"),
        ("{digest: image.digest}", "{digest: image..digest}", "a path into the chart's values"),
        ("{digest: image.digest}", "{repository: image.repository}", "where the chart takes the image from"),
        ("release: order-api", "release: order-api\n    set: a=b", "Unknown field set"),
    ],
)
def test_a_contradiction_is_named(old: str, new: str, words: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(words in each for each in found), found


def test_a_reason_stands_in_for_the_backup() -> None:
    reason = "{kind: helm_upgrade, skipBackup: The volume's snapshot stands in}"
    assert problems(GOOD.replace("{kind: helm_backup}, {kind: helm_upgrade}", reason)) == []


def test_two_services_do_not_share_a_release() -> None:
    assert any("already belongs to order-api" in each for each in problems(GOOD + SECOND))


def test_charts_that_lie_beside_a_catalog_are_not_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(GOOD)
    write_chart(tmp_path / "charts")
    documents, wrong = read(tmp_path)
    assert wrong == []
    assert {each.file for each in documents} == {"catalog.yaml"}


TAGGED = f"1.2@{DIGEST}"
PATHS = {"repository": "image.repository", "tag": "image.tag"}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (PATHS, {"image": {"repository": "r.example/a/b", "tag": TAGGED}}),
        (
            {**PATHS, "digest": "digest"},
            {"image": {"repository": "r.example/a/b", "tag": "1.2"}, "digest": DIGEST},
        ),
        ({"registry": "r", **PATHS}, {"r": "r.example", "image": {"repository": "a/b", "tag": TAGGED}}),
        ({"reference": "app.image"}, {"app": {"image": f"r.example/a/b@{DIGEST}"}}),
    ],
)
def test_the_image_goes_where_the_chart_takes_it_from(paths: Any, expected: Any) -> None:
    document = {"image": paths, "values": {"here": {"replicas": 2}, "there": {"replicas": 5}}}
    found = values_for(document, "here", repository="r.example/a/b", version="1.2", digest=DIGEST)
    assert found == {"replicas": 2, **expected}
    assert document["values"] == {"here": {"replicas": 2}, "there": {"replicas": 5}}


def test_an_image_that_has_no_place_in_the_values_is_refused() -> None:
    document = {"image": {"tag": "image.tag"}, "values": {"here": {"image": "fixed"}}}
    with pytest.raises(PermanentError) as found:
        values_for(document, "here", repository="r.example/a", version="1", digest=DIGEST)
    assert found.value.code == "helm_values"


def test_each_service_is_changed_by_its_owner_alone() -> None:
    members = [Member(name="plain"), Member(name="charted", spec={"helm": {"release": "charted"}})]
    spec: dict[str, Any] = {
        "before": [{"kind": "helm_check"}],
        "waves": [{"services": ["plain", "charted"]}],
        "each": [{"kind": each} for each in ("set_image", "helm_backup", "helm_upgrade", "wait_rollout")],
        "after": [{"kind": "helm_status"}],
    }
    kinds: dict[str, list[str]] = {}
    for node in build_graph(spec, members):
        kinds.setdefault(node.service, []).append(node.kind)
    assert kinds["plain"] == ["record_running", "set_image", "wait_rollout"]
    assert [each for each in kinds["charted"] if each.startswith("helm_")] == [
        "helm_check",
        "helm_backup",
        "helm_upgrade",
        "helm_status",
    ]
    assert "set_image" not in kinds["charted"]
    with pytest.raises(Invalid):
        build_graph({**spec, "each": [{"kind": "set_image"}]}, members)
