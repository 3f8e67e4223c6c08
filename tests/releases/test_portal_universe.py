"""A release of the whole example portal-universe, from the files that ship, up to its approval."""

from pathlib import Path

import pytest

from portal.actors import Actor
from releases import operations, queries
from releases.announcement import announcement_of
from releases.catalog.models import Service
from releases.catalog.operations import load_folder
from releases.models import Release
from tests.factories import FakeRegistry, approve_all
from tests.people import acting, person
from tests.soak import long

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"


@long
@pytest.mark.django_db
def test_ten_services_are_composed_submitted_and_approved_by_every_team(registry: FakeRegistry) -> None:
    load_folder(EXAMPLES, actor=Actor.portal("a test", door="cli"))
    services = list(Service.objects.filter(system="portal-universe").select_related("team"))
    assert len(services) == 10
    author = person("author", ("release_manager", "*"))
    teams = sorted({service.team.key for service in services})
    for team in teams:
        person(f"lead-{team}", ("team_lead", f"team:{team}"))
    person("senior", ("infra_senior", "cluster_group:main"))  # its gateway is the traffic path
    release = operations.create_release(
        {
            "environment": "portal-universe-production",
            "items": [{"service": service.name, "version": "1.4.0"} for service in services],
            "changes": [{"area": "API", "text": "주문 취소"}],
        },
        actor=acting(author),
    )
    assert release.grade == "D"
    assert {reason.service for reason in queries.reasons_of(release)} == {each.name for each in services}
    operations.submit_release(release.number, actor=acting(author))
    release = Release.objects.get(pk=release.pk)
    rows = [row for row in queries.requirements_of(release) if row.phase == "review"]
    assert sorted(row.scope for row in rows) == sorted(["main", *teams])
    assert {check.phase for check in queries.checks_of(release)} >= {"before", "after"}
    assert announcement_of(release).startswith("[portal-universe] 배포합니다.")
    approve_all(release)
    release.refresh_from_db()
    assert release.state == "approved"
