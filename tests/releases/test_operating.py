"""Operations on what runs, as releases: what they are graded, what is sealed, what they replace."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import grades
from portal.errors import Conflict, Invalid, NotAllowed
from portal.people.models import User
from releases import operations
from releases.announcement import announcement_of
from releases.models import Release
from releases.rollouts.running import version_of
from releases.start import missing_for_start
from tests.factories import (
    FakeRegistry,
    Shop,
    approve_all,
    digest_for,
    make_checklist,
    make_release,
    runs,
)
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

RESTART = {"kind": "restart"}
SCALE = {"kind": "scale", "replicas": 4}
RESOURCES = {"kind": "set_resources", "container": "app", "limits": {"memory": "1Gi"}}


def operate(shop: Shop, data: dict[str, Any], *, service: str = "shopping-service", **more: Any) -> Release:
    """Draft an operation as its author does, on a service of which version 2.7.4 runs."""
    for each in (shop.shopping, shop.payment, shop.auth):
        runs(each, shop.environment, "2.7.4")
    actor = acting(more.get("author", shop.cast.author))
    return operations.create_operation(service, shop.environment.name, data, actor=actor)


def submit(shop: Shop, release: Release) -> Release:
    return operations.submit_release(release.number, actor=acting(shop.cast.author))


@pytest.mark.parametrize(
    ("data", "ordinary", "core"),
    [(RESTART, "B", "C"), (SCALE, "C", "D"), (RESOURCES, "C", "D")],
    ids=["restart", "scale without known bounds", "resources"],
)
def test_the_grade_follows_from_what_is_touched(
    shop: Shop, data: dict[str, Any], ordinary: str, core: str
) -> None:
    assert operate(shop, data).grade == ordinary
    assert operate(shop, data, service="payment-service").grade == core


@pytest.mark.parametrize(("size", "grade"), [((2, 3), "A"), ((4, None), "A"), ((2, 9), "C"), ((1, 3), "C")])
def test_a_scale_within_the_known_bounds_is_of_the_lowest_grade(
    shop: Shop, size: tuple[int, int | None], grade: str
) -> None:
    shop.shopping.spec["scale"] = {"min": 2, "max": 4}
    shop.shopping.save(update_fields=["spec"])
    release = operate(shop, {"kind": "scale", "replicas": size[0], "most": size[1]})
    assert release.grade == grade


@pytest.mark.parametrize(("touches", "grade"), [(None, "D"), ([], "B"), (["new_api"], "C")])
def test_a_job_is_graded_by_what_the_catalog_says_it_touches(
    shop: Shop, touches: list[str] | None, grade: str
) -> None:
    more = {} if touches is None else {"touches": touches}
    shop.shopping.spec["jobs"] = [{"name": "tidy", "cronJob": "shop-tidy", **more}]
    shop.shopping.save(update_fields=["spec"])
    assert operate(shop, {"kind": "run_job", "job": "tidy"}).grade == grade


def test_an_operation_on_two_versions_gives_neither_the_name_of_the_other(shop: Shop) -> None:
    old, new = (digest_for("shopping-service", version) for version in ("2.7.4", "2.8.0"))
    row = runs(shop.shopping, shop.environment, "2.8.0")
    row.seen["digests"] = [new, old]
    row.save(update_fields=["seen"])
    actor = acting(shop.cast.author)
    operations.create_operation("shopping-service", shop.environment.name, RESTART, actor=actor)
    seen = {"digests": [old], "images": {"app": f"{shop.shopping.image}:2.7.4"}}
    assert version_of(shop.shopping, seen) == "2.7.4"


@given(st.sampled_from(["restart", "scale", "set_resources", "run_job"]), st.booleans(), st.booleans())
def test_what_a_new_version_touches_counts_for_no_operation(kind: str, core: bool, same: bool) -> None:
    plain = grades.ItemFacts(service="web", operation=kind, core=core, same_image=same)
    touched = replace(plain, touches=frozenset({"traffic_path", "database_change"}))
    assert grades.propose([touched]) == grades.propose([plain])


def test_what_runs_stays_and_no_registry_is_asked(shop: Shop, registry: FakeRegistry) -> None:
    registry.is_reachable = False
    release = submit(shop, operate(shop, RESTART))
    item = release.items.get()
    assert (item.version, item.digest) == ("2.7.4", item.running["digests"][0])
    assert release.content["operation"] == {"kind": "restart", "service": "shopping-service"}
    assert (release.state, release.plan, release.content["plan"]) == ("in_review", None, None)


def test_the_operation_is_part_of_the_seal(shop: Shop) -> None:
    digests = {operate(shop, {**SCALE, "replicas": number}).content_digest for number in (3, 4)}
    assert len(digests) == 2


def test_an_operation_is_asked_what_its_grade_asks_for(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "of every version"})
    grade = make_checklist({"phase": "before", "text": "of the grade"}, name="of-a-grade")
    grade.spec["grades"] = ["B"]
    grade.save(update_fields=["spec"])
    release = submit(shop, operate(shop, RESTART))
    assert list(release.checks.values_list("text", flat=True)) == ["of the grade"]


def test_the_announcement_says_what_is_done(shop: Shop) -> None:
    text = announcement_of(operate(shop, RESTART))
    assert text.startswith("[shop] 작업합니다.\n- 작업: ")
    assert "shopping-service(2.7.4)" in text


@long
def test_something_else_that_runs_since_holds_the_start(shop: Shop) -> None:
    release = submit(shop, operate(shop, RESTART))
    approve_all(release)
    release.refresh_from_db()
    assert missing_for_start(release) == []
    runs(shop.shopping, shop.environment, "2.8.0")
    assert [each["code"] for each in missing_for_start(release)] == ["digest"]


def test_a_duplicate_is_for_what_runs_then(shop: Shop) -> None:
    release = operate(shop, SCALE)
    runs(shop.shopping, shop.environment, "2.8.0")
    again = operations.duplicate_release(release.number, actor=acting(shop.cast.author))
    assert again.operation == release.operation
    assert (again.items.get().version, again.plan) == ("2.8.0", None)


@long
def test_versions_and_operations_do_not_replace_each_other(shop: Shop) -> None:
    version = make_release(shop, at="in_review")
    restart, scale = submit(shop, operate(shop, RESTART)), submit(shop, operate(shop, SCALE))
    submit(shop, operate(shop, {**SCALE, "replicas": 2}))
    newer = make_release(shop, at="in_review")
    states = dict(Release.objects.values_list("number", "state"))
    assert [states[each.number] for each in (version, restart, scale, newer)] == [
        "superseded",
        "in_review",
        "superseded",
        "in_review",
    ]
    assert Release.objects.get(pk=version.pk).superseded_by == newer


def test_what_is_not_known_to_run_is_not_operated(shop: Shop) -> None:
    with pytest.raises(Conflict) as error:
        operations.create_operation(
            "shopping-service", shop.environment.name, RESTART, actor=acting(shop.cast.author)
        )
    assert error.value.code == "running_unknown"


def test_an_edit_keeps_the_operation_and_what_follows_from_it(shop: Shop) -> None:
    release, actor = operate(shop, RESTART), acting(shop.cast.author)
    edited = operations.edit_release(
        release.number, {"grade": "D", "title": "x"}, actor=actor, if_match=release.content_digest
    )
    assert (edited.grade, edited.title, edited.operation) == ("D", "x", release.operation)
    settled: list[dict[str, Any]] = [
        {"items": []},
        {"plan": "shop-plan"},
        {"environment": shop.environment.name},
    ]
    for data in settled:
        with pytest.raises(Invalid):
            operations.edit_release(release.number, data, actor=actor, if_match=edited.content_digest)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kind": "explode"}, "kind"),
    ({"kind": "restart", "replicas": 1}, "replicas"),
    ({"kind": "restart", "workload": "nowhere"}, "workload"),
    ({"kind": "scale"}, "replicas"),
    ({"kind": "scale", "replicas": -1}, "replicas"),
    ({"kind": "scale", "replicas": 5, "most": 4}, "most"),
    ({"kind": "set_resources", "container": "app"}, "limits"),
    ({"kind": "set_resources", "container": "app", "limits": {"cpu": "much"}}, "limits.cpu"),
    ({"kind": "set_resources", "container": "app", "limits": {"cpu": "0"}}, "limits.cpu"),
    (
        {"kind": "set_resources", "container": "app", "limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}},
        "requests.cpu",
    ),
    ({"kind": "set_resources", "limits": {"cpu": "1"}}, "container"),
    ({"kind": "run_job", "job": "nothing"}, "job"),
]


def test_one_of_two_that_take_turns_gets_no_pods_while_it_rests(shop: Shop) -> None:
    own, names = shop.shopping, ("shopping-blue", "shopping-green")
    own.spec |= {
        "workloads": [
            {"kind": "Deployment", "name": name, "colour": name.removeprefix("shopping-")} for name in names
        ],
        "colours": {"by": "pods"},
    }
    own.save(update_fields=["spec"])
    row = runs(own, shop.environment, "2.7.4")
    row.seen["workloads"] = {"Deployment/shopping-green": {}}
    row.save(update_fields=["seen"])
    api, place = ApiClient(shop.cast.author), f"/services/{own.name}/{shop.environment.name}/operations"
    refused = api.post(place, {**SCALE, "workload": "shopping-blue"})
    assert (refused.status_code, refused.json()["code"]) == (409, "colour_rests")
    for data in (
        {**SCALE, "workload": "shopping-green"},
        {"kind": "scale", "workload": names[0], "replicas": 0},
    ):
        assert api.post(place, data).status_code == 201


@pytest.mark.parametrize(("data", "field"), WRONG, ids=str)
def test_what_is_wrong_is_named(shop: Shop, data: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as error:
        operate(shop, data)
    assert [each["field"] for each in error.value.missing] == [field]


@pytest.mark.parametrize("who", ["infra_senior", "qa", "auditor", "administrator", "outsider"])
def test_who_may_not_compose_the_service_may_not_operate_it(shop: Shop, who: str) -> None:
    user: User = getattr(shop.cast, who)
    with pytest.raises(NotAllowed):
        operate(shop, RESTART, author=user)


def test_the_api_drafts_an_operation(shop: Shop) -> None:
    runs(shop.shopping, shop.environment, "2.7.4")
    api, place = ApiClient(shop.cast.author), f"/services/shopping-service/{shop.environment.name}/operations"
    answer = api.post(place, {**RESOURCES, "workload": "shopping-service"})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["state"], made["grade"], made["plan"]) == ("draft", "C", None)
    assert made["operation"]["limits"] == {"memory": "1Gi"}
    assert [each["fact"] for each in made["proposed_grade"]["reasons"]] == ["infrastructure"]
    refused = api.post(place, {"kind": "scale", "replicas": "3"})
    assert refused.status_code == 422
    assert api.post("/services/shopping-service/elsewhere/operations", RESTART).status_code == 404
