"""Is it alive, is it ready, and what does it measure: for probes and Prometheus, without sign-in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import django_rq
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from portal import counters
from portal.errors import is_full

Reading = float | Mapping[str, float] | Mapping[tuple[str, ...], float]


@dataclass(frozen=True)
class Gauge:
    """A number read when it is asked for; with labels, one number for each of their values."""

    name: str
    text: str
    read: Callable[[], Reading]
    labels: Sequence[str] = ()

    @property
    def kind(self) -> str:
        """What Prometheus calls it: quantiles over a time that goes along are a summary."""
        return "summary" if "quantile" in self.labels else "gauge"


GAUGES: dict[str, Gauge] = {}
_migrated: list[bool] = []


def gauge(
    name: str, text: str, *, label: str | Sequence[str] = ()
) -> Callable[[Callable[[], Reading]], Callable[[], Reading]]:
    """Register a function whose result appears in /metrics as `portal_NAME`.

    Args:
        name: with its unit, such as "outbox_lag_seconds".
        label: when the function returns several numbers by key, what the key is; several for keys of several.
    """

    def register(read: Callable[[], Reading]) -> Callable[[], Reading]:
        GAUGES[name] = Gauge(f"portal_{name}", text, read, [label] if isinstance(label, str) else label)
        return read

    return register


@login_not_required
@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  Django's signature
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  Django's signature
    """What the process needs is there; otherwise names what is not."""
    faults = {name: fault for name, check in CHECKS.items() if (fault := check())}
    return JsonResponse({"ready": not faults, "not_ready": faults}, status=503 if faults else 200)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  Django's signature
    """Prometheus' text: what the rows say, and what this process has counted."""
    registry = CollectorRegistry()
    registry.register(_Readings())
    text = generate_latest(registry) + generate_latest(counters.REGISTRY)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


class _Readings(Collector):
    def collect(self) -> Iterator[Metric]:
        for entry in GAUGES.values():
            family = Metric(entry.name, entry.text, entry.kind)
            try:
                reading = entry.read()
            except (DatabaseError, RedisError):
                continue  # what cannot be read is left out, which Prometheus sees as absent
            found = reading if isinstance(reading, Mapping) else {(): reading}
            for key, value in sorted(found.items()):
                keys = [key] if isinstance(key, str) else key
                family.add_sample(entry.name, dict(zip(entry.labels, keys, strict=True)), value)
            yield family


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return "" if _is_migrated() else "migrations are missing"
    except (DatabaseError, ImproperlyConfigured) as error:
        return "has no room on its disk" if is_full(error) else "does not answer"


def _is_migrated() -> bool:
    """Looked up until it is true once: migrations are never taken back under a running portal."""
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _migrated.append(True)
    return True


def _queue() -> str:
    try:
        django_rq.get_connection("default").ping()
    except RedisError:
        return "does not answer"
    return ""


CHECKS: dict[str, Callable[[], str]] = {"database": _database, "redis": _queue}
