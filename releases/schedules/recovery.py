"""What a service aims at for its recovery, beside what was measured (screens.md 2.3: RTO and RPO)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

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
Span = tuple[int, datetime | None, datetime | None]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Aims and measurements of a service in an environment, in seconds; None where there is none.

    Attributes:
        rpo_aim: the most data that may be lost, by its age.
        rpo_now: the age of the newest backup: what would be lost if the data went now.
        rto_aim: the longest that coming back may take.
        rto_longest: the longest that coming back has taken, of `recoveries` in the last year.
        rto_median: the one in the middle of them.
    """

    service: Service
    environment: Environment
    backup: Backup | None
    rpo_aim: int | None
    rpo_now: int | None
    rto_aim: int | None
    rto_longest: int | None
    rto_median: int | None
    recoveries: int

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
    """Read what a service aims at, and what its backups, rollbacks and restores came to."""
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
    """Three questions to the database, however many services."""
    now = clock.now()
    ids = [service.pk for service in services]
    backups = backups_in(environment).filter(service__in=ids).order_by("service_id", "-made_at")
    newest = {each.service_id: each for each in backups.distinct("service_id")}
    took: dict[int, list[float]] = {pk: [] for pk in ids}
    for pk, began, ended in [*_rollbacks(ids, environment, now), *_restores(ids, environment, now)]:
        if began and ended:
            took[pk].append((ended - began).total_seconds())
    return [_recovery(each, environment, newest.get(each.pk), took[each.pk], now) for each in services]


def _recovery(
    service: Service, environment: Environment, backup: Backup | None, took: Sequence[float], now: datetime
) -> Recovery:
    aims = service.spec.get("recovery") or {}
    return Recovery(
        service=service,
        environment=environment,
        backup=backup,
        rpo_aim=_seconds(aims.get("rpoMinutes")),
        rpo_now=int((now - backup.made_at).total_seconds()) if backup else None,
        rto_aim=_seconds(aims.get("rtoMinutes")),
        rto_longest=round(max(took)) if took else None,
        rto_median=round(median(took)) if took else None,
        recoveries=len(took),
    )


def _seconds(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * 60


def _rollbacks(services: Sequence[int], environment: Environment, now: datetime) -> Iterable[Span]:
    """From the failure, or from where it began to go back, to where all ran as before."""
    found = Rollout.objects.filter(
        environment=environment,
        state=RolloutState.ROLLED_BACK,
        release__items__service__in=services,
        failed_at__gte=now - LOOKED_BACK,
        ended_at__isnull=False,
    )
    return found.values_list("release__items__service", "failed_at", "ended_at")


def _restores(services: Sequence[int], environment: Environment, now: datetime) -> Iterable[Span]:
    found = Step.objects.filter(
        kind=OperationKind.RESTORE,
        service__in=services,
        rollout__environment=environment,
        direction=Direction.FORWARD,
        state=StepState.SUCCEEDED,
        started_at__gte=now - LOOKED_BACK,
        ended_at__isnull=False,
    )
    return found.values_list("service", "started_at", "ended_at")
