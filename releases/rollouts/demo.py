"""Releases for the demo: one in each state that a board, an inbox or a list must tell from the others.

People do it all by the operations of every door; only the day on which they do is shifted. Two emergencies,
one release that waits for its sign-off and one of a beta really roll out on the practice cluster; what was
tried in the beta is then carried to production.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from approvals.states import Verdict
from portal import clock
from portal.actors import Actor
from portal.people.models import Delegation, Role, User
from releases import operations, stations
from releases.catalog.models import Running
from releases.models import Release
from releases.rollouts.operations import start_rollout

Json = dict[str, Any]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# What goes through the beta first.
BETA, PRODUCTION, TRIED = "kop-beta", "kop-production", "CMS 외부 6e27011f"
INCIDENT = "https://incidents.example/plate-{}"
# What the releases start from; until the watcher has seen it run there is nothing to compare with.
STARTING_POINTS = {
    ("plate-web", "plate-production"),
    ("plate-llm", "plate-production"),
    ("cms-public", "kop-production"),
    ("cms-public", "kop-beta"),
    ("runbook-api", "runbook-api-production"),
    ("runbook-api", "runbook-api-staging"),
    ("storebridge-worker-normal", "storebridge-production"),
    ("runbook-api", "runbook-api-development"),
}


def load_releases() -> bool:
    """Make the releases of the demo in an empty portal, then carry on what its beta shows; say if it did.

    Nothing is made away from the practice cluster: an emergency would change what really runs there.
    """
    if settings.DEMO != "full" or not settings.PRACTICE_REGISTRY_URL:
        return False
    if Release.objects.exists():
        return _carry_tried()
    if not _is_seen() or not _delegated().exists():
        return False
    with transaction.atomic():
        _expired()
        _superseded()
        _sent_back()
        _to_beta()
        _signoff_awaited()
        _owed("plate-llm", "0.10.0", "추천 응답이 멈추어 먼저 올렸습니다.", ago=30 * HOUR)
        _owed("plate-web", "1.26.0", "결제 화면이 열리지 않아 먼저 올렸습니다.", ago=timedelta(0))
    return True


def _is_seen() -> bool:
    seen = Running.objects.values_list("service__name", "environment__name")
    return set(seen) >= STARTING_POINTS


def _delegated() -> QuerySet[Delegation]:
    return Delegation.objects.filter(giver__username="mikyung", taker__username="donghae", ended_at=None)


def _expired() -> None:
    """Nobody decided within its fourteen days."""
    with _ago(16 * DAY):
        release = _submit(
            "gaeun", "runbook-api 1.5.0-rc.2", "runbook-api-production", "runbook-api", "1.5.0-rc.2"
        )
    with _ago(2 * DAY - HOUR):
        operations.expire_release(release.number, actor=Actor.portal("sweep"))


def _superseded() -> None:
    """A newer release of the same service was submitted while it was in review."""
    with _ago(2 * DAY):
        _submit("gaeun", "runbook-api 1.5.0-rc.2", "runbook-api-staging", "runbook-api", "1.5.0-rc.2")
    with _ago(5 * HOUR):
        _submit("woojin", "runbook-api 1.5.0", "runbook-api-staging", "runbook-api", "1.5.0")


def _sent_back() -> None:
    with _ago(4 * HOUR):
        service, environment = "storebridge-worker-normal", "storebridge-production"
        release = _submit("jimin", "일반 작업자 v2.6.0", environment, service, "v2.6.0")
    with _ago(3 * HOUR):
        reason = "큐 형식이 바뀌는데 되돌리는 방법이 없습니다. 적어서 다시 올려 주세요."
        _decide(release, "soyul", Verdict.SEND_BACK, reason=reason)


def _to_beta() -> None:
    """It rolls out there as soon as a worker is free, and is up for QA then."""
    release = _submit("haeun", TRIED, BETA, "cms-public", "6e27011f", facts={"new_api": True})
    start_rollout(release.number, actor=_person("haeun"))


def _carry_tried() -> bool:
    """Once the beta is up: QA answers, the author carries it on, and it is approved; only once, if at all.

    It is the lead of the next team who approves, for the one who is away. Whoever looks at the demo may have
    been faster in any of it, and is left alone then.
    """
    with transaction.atomic():
        found = Release.objects.select_for_update(of=("self",)).filter(title=TRIED, environment__name=BETA)
        tried = found.filter(state__in=stations.PROVEN, carried=None).order_by("number").first()
        if tried is None:
            return False
        for check in tried.checks.filter(role=Role.QA, result=""):
            operations.answer_check(tried.number, check.pk, actor=_person("nayoung"), result="done")
        if stations.waits_for_qa(tried):
            return False
        release = operations.carry_release(tried.number, PRODUCTION, actor=_person("haeun"))
        operations.submit_release(release.number, actor=_person("haeun"))
        _decide(release, "donghae", Verdict.APPROVE, on_behalf_of="mikyung")
    return True


def _signoff_awaited() -> None:
    """It rolls out as soon as a worker is free, and waits for its sign-off then."""
    environment = "runbook-api-development"
    release = _submit("gaeun", "runbook-api 1.5.0", environment, "runbook-api", "1.5.0")
    _decide(release, "arin", Verdict.APPROVE)
    start_rollout(release.number, actor=_person("gaeun"))


def _owed(service: str, version: str, reason: str, *, ago: timedelta) -> None:
    """An emergency, submitted some time ago and started now: its review is due a day after the submission."""
    incident = {"link": INCIDENT.format(service.removeprefix("plate-")), "reason": reason}
    with _ago(ago):
        release = _submit(
            "harin",
            f"긴급: {service} {version}",
            "plate-production",
            service,
            version,
            grade="E",
            incident=incident,
        )
    start_rollout(release.number, actor=_person("harin"))


def _submit(author: str, title: str, environment: str, service: str, version: str, **more: Any) -> Release:
    data: Json = {
        "title": title,
        "environment": environment,
        "items": [{"service": service, "version": version}],
        "changes": [{"area": service, "text": f"{version} 배포", "link": None}],
        "facts": {},
        **more,
    }
    actor = _person(author)
    release = operations.create_release(data, actor=actor)
    return operations.submit_release(release.number, actor=actor)


def _decide(release: Release, username: str, verdict: str, **more: str) -> None:
    """Decide on what the release is now."""
    digest = Release.objects.values_list("content_digest", flat=True).get(pk=release.pk)
    actor = _person(username)
    operations.decide_release(release.number, actor=actor, verdict=verdict, content_digest=digest, **more)


def _person(username: str) -> Actor:
    return Actor(user=User.objects.get(username=username), door="cli", cause="demo")


@contextmanager
def _ago(span: timedelta) -> Iterator[None]:
    """Let it have happened some time ago."""
    with clock.counting_on(clock.now() - span):
        yield
