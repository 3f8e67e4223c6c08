"""Facts of single services, what the catalog knows, and releases that look like one cut up."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from portal.audit.models import AuditEntry
from releases import operations, proposal
from releases.announcement import announcement_of
from releases.catalog.models import Service
from releases.models import Release
from releases.planned import facts_of_plan
from tests.factories import Shop, digest_for, make_release, runs
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

BOTH: list[dict[str, Any]] = [
    {"service": "shopping-service", "version": "2.8.0"},
    {"service": "auth-service", "version": "2.8.0"},
]
SHOPPING: list[dict[str, Any]] = [BOTH[0]]


def with_fact(item: dict[str, Any], fact: str) -> dict[str, Any]:
    """The item with a fact stated of it."""
    return {**item, "facts": {fact: True}}


def reasons(release: Release) -> set[tuple[str, str]]:
    """(fact, service) of each reason of the proposal."""
    return {(reason["fact"], reason["service"]) for reason in release.proposal["reasons"]}


def test_a_fact_of_one_service_is_a_reason_of_that_service_alone(shop: Shop) -> None:
    answer = ApiClient(shop.cast.author).post(
        "/releases", shop.data(items=[with_fact(BOTH[0], "database_change"), BOTH[1]])
    )
    body = answer.json()
    assert answer.status_code == 201
    told = [(r["fact"], r["service"], r["source"]) for r in body["proposed_grade"]["reasons"]]
    assert ("database_change", "shopping-service", "stated") in told
    assert ("database_change", "auth-service", "stated") not in told
    assert [item["facts"] for item in body["items"]] == [{"database_change": True}, {}]
    release = Release.objects.get(number=body["number"])
    assert "DB 업데이트 여부: Y" in announcement_of(release)
    assert release.content["items"][1]["facts"] == {"database_change": True}


def test_an_unknown_fact_of_a_service_is_refused_by_name(shop: Shop) -> None:
    for facts in ({"harmless": True}, {"new_api": "yes"}):
        answer = ApiClient(shop.cast.author).post("/releases", shop.data(items=[{**BOTH[0], "facts": facts}]))
        (fault,) = answer.json()["missing"]
        assert (answer.status_code, fault["field"]) == (422, f"items.0.facts.{next(iter(facts))}")


def test_a_fact_of_a_service_stays_until_somebody_says_otherwise(shop: Shop) -> None:
    release = make_release(shop, items=[with_fact(BOTH[0], "new_api")])
    for version, facts, left in (("2.9.0", None, {"new_api": True}), ("2.9.0", {}, {})):
        named: dict[str, Any] = {} if facts is None else {"facts": facts}
        items = [{"service": "shopping-service", "version": version, **named}]
        release = operations.edit_release(
            release.number, {"items": items}, actor=acting(shop.cast.author), if_match=release.content_digest
        )
        assert release.items.get().facts == left


@long
def test_a_fact_of_a_service_is_sealed_and_changing_it_voids(shop: Shop) -> None:
    release = make_release(shop, at="approved", items=SHOPPING)
    before = release.content_digest
    items = [with_fact(BOTH[0], "new_api")]
    release = operations.edit_release(
        release.number, {"items": items}, actor=acting(shop.cast.author), if_match=before
    )
    assert (release.state, release.grade) == ("draft", "C")
    assert release.content_digest != before


def test_infrastructure_of_one_service_asks_the_senior_and_counts_beside_a_core_service(shop: Shop) -> None:
    release = make_release(shop, at="in_review", items=[with_fact(BOTH[0], "infrastructure"), BOTH[1]])
    assert release.grade == "D"
    assert release.approval_request is not None
    rows = release.approval_request.requirements.filter(role="infra_senior")
    assert [row.because for row in rows] == [["shopping-service"]]


def test_what_the_catalog_says_a_new_version_touches_cannot_be_left_out(shop: Shop) -> None:
    spec = {**shop.shopping.spec, "touches": ["traffic_path"]}
    Service.objects.filter(pk=shop.shopping.pk).update(spec=spec)
    release = make_release(shop, at="in_review", items=SHOPPING)
    assert (release.grade, reasons(release)) == (
        "D",
        {("new_version", "shopping-service"), ("traffic_path", "shopping-service")},
    )
    assert proposal.facts_of(release) == {"traffic_path"}
    assert release.approval_request is not None
    assert release.approval_request.requirements.filter(role="infra_senior").exists()


def test_a_migration_of_the_plan_is_a_measured_database_change_of_its_service_alone(shop: Shop) -> None:
    jobs: list[dict[str, Any]] = [
        {"name": "migrate", "cronJob": "shopping-migrate"},
        {"name": "seed", "cronJob": "s", "touches": []},
    ]
    Service.objects.filter(pk=shop.shopping.pk).update(spec={**shop.shopping.spec, "jobs": jobs})
    steps = [{"kind": "run_job", "service": "shopping-service", "job": job["name"]} for job in jobs]
    shop.plan.spec = {"waves": [{"services": ["shopping-service", "auth-service"], "before": steps}]}
    shop.plan.save(update_fields=["spec"])
    body = ApiClient(shop.cast.author).post("/releases", shop.data(items=BOTH)).json()
    found = [r for r in body["proposed_grade"]["reasons"] if r["fact"] == "database_change"]
    assert [(r["service"], r["grade"], r["source"]) for r in found] == [("shopping-service", "D", "measured")]
    assert "cronjob/shopping-migrate" in found[0]["origin"]
    release = Release.objects.get(number=body["number"])
    assert release.content["items"][1]["jobs"] == jobs
    assert "jobs" not in release.content["items"][0]


@pytest.mark.parametrize(
    ("replicas", "bounds", "grade", "fact"),
    [
        (6, {"min": 2, "max": 10}, "A", "scale_only"),
        (11, {"min": 2, "max": 10}, "C", "infrastructure"),
        (6, None, "C", "infrastructure"),
    ],
)
def test_scaling_is_measured_against_the_bounds_that_the_catalog_knows(
    shop: Shop, replicas: int, bounds: dict[str, int] | None, grade: str, fact: str
) -> None:
    spec = {**shop.shopping.spec, **({"scale": bounds} if bounds else {})}
    Service.objects.filter(pk=shop.shopping.pk).update(spec=spec)
    step = {"kind": "scale", "service": "shopping-service", "replicas": replicas}
    shop.plan.spec = {"waves": [{"services": ["shopping-service"], "after": [step]}]}
    shop.plan.save(update_fields=["spec"])
    runs(shop.shopping, shop.environment, "2.8.0")
    release = make_release(shop, items=SHOPPING)
    assert (release.grade, {name for name, _service in reasons(release)} >= {fact}) == (grade, True)
    assert f"shopping-service × {replicas}" in str(release.proposal["reasons"])


def test_a_canary_by_weight_is_a_measured_change_of_the_traffic_path(shop: Shop) -> None:
    shop.shopping.spec["canary"] = {"stable": "a", "canary": "b", "route": {"name": "shop"}}
    shop.shopping.save(update_fields=["spec"])
    for by, expected in (("pods", set()), ("weight", {("traffic_path", "httproute/shop")})):
        plan = {"canary": {"by": by}}
        assert set(facts_of_plan(plan, "shopping-service", shop.shopping.spec)) == expected


def test_a_switch_of_services_is_a_measured_change_of_the_traffic_path(shop: Shop) -> None:
    step = {
        "kind": "switch_service",
        "service": "shopping-service",
        "services": ["shop", "shop-admin"],
        "selector": {"color": "green"},
    }
    shop.plan.spec = {"waves": [{"services": ["shopping-service"], "after": [step]}]}
    shop.plan.save(update_fields=["spec"])
    runs(shop.shopping, shop.environment, "2.8.0")
    release = make_release(shop, at="in_review", items=SHOPPING, facts={"scale_only": True})
    assert release.grade == "D"
    assert release.approval_request is not None
    assert release.approval_request.requirements.filter(role="infra_senior").exists()


def test_facts_are_looked_at_again_when_it_is_submitted(shop: Shop) -> None:
    release = make_release(shop, items=SHOPPING)
    assert release.grade == "B"
    spec = {**shop.shopping.spec, "touches": ["database_change"]}
    Service.objects.filter(pk=shop.shopping.pk).update(spec=spec)
    assert operations.submit_release(release.number, actor=acting(shop.cast.author)).grade == "D"


def test_a_claim_of_only_is_not_believed_while_another_image_runs_beside_it(shop: Shop) -> None:
    row = runs(shop.shopping, shop.environment, "2.8.0")
    scaled = make_release(shop, items=SHOPPING, facts={"scale_only": True})
    assert scaled.grade == "A"
    row.seen["digests"].append(digest_for("shopping-service", "2.7.4"))
    row.save(update_fields=["seen"])
    scaled = operations.submit_release(scaled.number, actor=acting(shop.cast.author))
    assert (scaled.grade, reasons(scaled)) == (
        "B",
        {("new_version", "shopping-service"), ("not_borne_out", "shopping-service")},
    )


def test_a_database_change_that_names_no_service_concerns_all(shop: Shop) -> None:
    changes = [{"service": "auth-service", "text": "one column"}, {"service": "", "text": "one index"}]
    release = make_release(shop, items=BOTH, database_changes=changes)
    assert {service for fact, service in reasons(release) if fact == "database_change"} == {
        "shopping-service",
        "auth-service",
    }


@long
def test_releases_of_one_team_within_a_day_look_like_one_and_the_record_keeps_it(shop: Shop) -> None:
    heavy = make_release(
        shop, at="in_review", items=[{"service": "payment-service", "version": "2"}], grade="D"
    )
    alone = make_release(shop, items=[BOTH[1]])
    light = make_release(shop, at="in_review", items=SHOPPING)
    body = ApiClient(shop.cast.outsider).get(f"/releases/{light.number}").json()
    assert body["looks_like_one"] == {"releases": [heavy.number], "grade": "D"}
    assert ApiClient(shop.cast.author).get(f"/releases/{alone.number}").json()["looks_like_one"] is None
    entry = AuditEntry.objects.filter(release=light.number, action="release.in_review").get()
    assert json.loads(entry.body)["after"]["looks_like_one"] == {"releases": [heavy.number], "grade": "D"}
    draft = make_release(shop, items=SHOPPING)
    client = Client()
    client.force_login(shop.cast.author)
    panel = client.get(f"/releases/{draft.number}/submit/", headers={"Accept-Language": "en"})
    assert "Together their facts would propose grade D." in panel.content.decode()
    client.force_login(shop.cast.pl)
    page = client.get(f"/releases/{light.number}/review/", headers={"Accept-Language": "en"}).content.decode()
    assert "Looks like a part of a release of grade D" in page
    assert "Together their facts would propose grade D." in page
    assert f'href="/releases/{heavy.number}/"' in page


@long
def test_what_is_far_over_or_unsent_by_others_looks_like_nothing(shop: Shop) -> None:
    lead = shop.cast.team_lead
    make_release(shop, items=SHOPPING, author=lead)
    gone = make_release(shop, at="in_review", items=SHOPPING)
    operations.withdraw_release(gone.number, actor=acting(shop.cast.author))
    old = make_release(shop, at="in_review", items=[{"service": "payment-service", "version": "2"}])
    assert old.submitted_at is not None
    Release.objects.filter(pk=old.pk).update(submitted_at=old.submitted_at - timedelta(hours=25))
    release = make_release(shop, items=SHOPPING)
    assert ApiClient(shop.cast.author).get(f"/releases/{release.number}").json()["looks_like_one"] is None
    mine = make_release(shop, items=SHOPPING)
    found = ApiClient(shop.cast.author).get(f"/releases/{mine.number}").json()["looks_like_one"]
    assert found["releases"] == [release.number]


def test_infrastructure_and_core_service_cut_apart_are_d_together(shop: Shop) -> None:
    first = make_release(shop, items=[with_fact(BOTH[0], "infrastructure")])
    assert first.grade == "C"
    make_release(shop, items=[{"service": "payment-service", "version": "2"}])
    found = ApiClient(shop.cast.author).get(f"/releases/{first.number}").json()["looks_like_one"]
    assert found["grade"] == "D"
