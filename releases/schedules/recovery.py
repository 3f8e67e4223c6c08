"""What a service aims at for its recovery, beside what was measured (screens.md 2.3: RTO and RPO)."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from portal import clock
from releases.catalog.models import Environment, Service
from releases.catalog.schedule_checks import BACKUP
from releases.operating import OperationKind
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import Direction, RolloutState, StepState
from releases.schedules.models import Backup
from releases.schedules.queries import backups_in

# Older recoveries say little about how long one takes now.
LOOKED_BACK = timedelta(days=365)
INCIDENT, ROLLBACK, RESTORE = "incident", "rollback", "restore"


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A service that came back, and what says so.

    Attributes:
        service: its key.
        kind: INCIDENT, ROLLBACK or RESTORE.
        number: of the incident, or of the rollout that went back or restored.
    """

    service: int
    kind: str
    number: int
    began: datetime
    ended: datetime

    @property
    def seconds(self) -> int:
        """How long it took."""
        return round((self.ended - self.began).total_seconds())


# By the keys of services, where, and since when. Filled by the app that knows the rows, which lies above.
SOURCES: list[Callable[[Sequence[int], Environment, datetime], Iterable[Recovered]]] = []


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Aims and measurements of a service in an environment, in seconds; None where there is none.

    Attributes:
        rpo_aim: the most data that may be lost, by its age.
        rpo_now: the age of the newest backup: what would be lost if the data went now.
        rto_aim: the longest that coming back may take.
        longest: the one of the last year's recoveries that took longest.
        rto_median: the one in the middle of them.
        counts: how many there were, by their kind.
    """

    service: Service
    environment: Environment
    backup: Backup | None
    rpo_aim: int | None
    rpo_now: int | None
    rto_aim: int | None
    longest: Recovered | None
    rto_median: int | None
    counts: Mapping[str, int]

    @property
    def recoveries(self) -> int:
        """How many there were in the last year."""
        return sum(self.counts.values())

    @property
    def rto_longest(self) -> int | None:
        """The longest that coming back has taken in the last year."""
        return self.longest.seconds if self.longest else None

    @property
    def rpo_met(self) -> bool | None:
        """Whether no more would be lost than may be; without any backup everything would."""
        return None if self.rpo_aim is None else self.rpo_now is not None and self.rpo_now <= self.rpo_aim

    @property
    def rto_met(self) -> bool | None:
        """Whether every recovery was as fast as it has to be; unknown while there was none."""
        if self.rto_aim is None or self.rto_longest is None:
            return None
        return self.rto_longest <= self.rto_aim


def recovery_of(service: Service, environment: Environment) -> Recovery:
    """Read what a service aims at, and what its backups, incidents, rollbacks and restores came to."""
    return _read([service], environment)[0]


def recovery_here(service: Service, environment: Environment) -> list[Recovery]:
    """Read it of a service, where that has an aim or makes backups."""
    return _read([service], environment) if _concerns(service) else []


def recoveries_in(environment: Environment) -> list[Recovery]:
    """Read it of every service of an environment that has an aim or makes backups."""
    services = environment.services.order_by("name")
    return _read([each for each in services if _concerns(each)], environment)


def _concerns(service: Service) -> bool:
    return bool(service.spec.get("recovery")) or any(
        job.get("purpose") == BACKUP for job in service.spec.get("jobs") or []
    )


def _read(services: Sequence[Service], environment: Environment) -> list[Recovery]:
    """As many questions to the database as there are kinds, however many services."""
    now = clock.now()
    ids = [service.pk for service in services]
    backups = backups_in(environment).filter(service__in=ids).order_by("service_id", "-made_at")
    newest = {each.service_id: each for each in backups.distinct("service_id")}
    found: dict[int, list[Recovered]] = {pk: [] for pk in ids}
    for each in _recovered(ids, environment, now - LOOKED_BACK):
        found[each.service].append(each)
    return [
        _recovery(each, environment, newest.get(each.pk), _each_once(found[each.pk]), now)
        for each in services
    ]


def _recovered(services: Sequence[int], environment: Environment, since: datetime) -> Iterable[Recovered]:
    for find in (_rollbacks, _restores, *SOURCES):
        yield from find(services, environment, since)


def _each_once(found: Sequence[Recovered]) -> list[Recovered]:
    """What was taken back or restored while an incident lasted is a part of that, not one beside it."""
    incidents = [each for each in found if each.kind == INCIDENT]
    return [
        each
        for each in found
        if each in incidents or not any(whole.began <= each.ended <= whole.ended for whole in incidents)
    ]


def _recovery(
    service: Service,
    environment: Environment,
    backup: Backup | None,
    found: Sequence[Recovered],
    now: datetime,
) -> Recovery:
    aims = service.spec.get("recovery") or {}
    return Recovery(
        service=service,
        environment=environment,
        backup=backup,
        rpo_aim=_seconds(aims.get("rpoMinutes")),
        rpo_now=int((now - backup.made_at).total_seconds()) if backup else None,
        rto_aim=_seconds(aims.get("rtoMinutes")),
        longest=max(found, key=lambda each: each.seconds, default=None),
        rto_median=round(median(each.seconds for each in found)) if found else None,
        counts=Counter(each.kind for each in found),
    )


def _seconds(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * 60


def _rollbacks(services: Sequence[int], environment: Environment, since: datetime) -> Iterable[Recovered]:
    """From the failure, or from where it began to go back, to where all ran as before."""
    found = Rollout.objects.filter(
        environment=environment,
        state=RolloutState.ROLLED_BACK,
        release__items__service__in=services,
        failed_at__gte=since,
        ended_at__isnull=False,
    )
    rows = found.values_list("release__items__service", "pk", "failed_at", "ended_at")
    return [_from_row(ROLLBACK, *row) for row in rows]


def _restores(services: Sequence[int], environment: Environment, since: datetime) -> Iterable[Recovered]:
    found = Step.objects.filter(
        kind=OperationKind.RESTORE,
        service__in=services,
        rollout__environment=environment,
        direction=Direction.FORWARD,
        state=StepState.SUCCEEDED,
        started_at__gte=since,
        ended_at__isnull=False,
    )
    rows = found.values_list("service", "rollout", "started_at", "ended_at")
    return [_from_row(RESTORE, *row) for row in rows]


def _from_row(kind: str, service: Any, number: int, began: Any, ended: Any) -> Recovered:
    return Recovered(service=service, kind=kind, number=number, began=began, ended=ended)
