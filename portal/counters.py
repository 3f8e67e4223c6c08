"""What this process has done since it began, for Prometheus: counted in memory, which writes nothing.

A count begins at nought with its process, as Prometheus expects of counters. The web process shows its own at
/metrics beside what the rows say (`portal.api.probes`), the other roles at METRICS_PORT.
"""

from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

REGISTRY = CollectorRegistry()
# Since when each series is counted would be as many series again.
disable_created_metrics()  # type: ignore[no-untyped-call]


def counter(name: str, text: str, *labels: str) -> Counter:
    """Make a counter that appears as `portal_NAME`; the name ends in "_total"."""
    return Counter(f"portal_{name}", text, labels, registry=REGISTRY)


def histogram(name: str, text: str, *labels: str, limits: Sequence[float]) -> Histogram:
    """Make a histogram that appears as `portal_NAME`.

    Args:
        name: with its unit, such as "step_duration_seconds".
        limits: the upper ends of its buckets, in that unit.
    """
    return Histogram(f"portal_{name}", text, labels, registry=REGISTRY, buckets=limits)


def serve(host: str, port: int) -> None:
    """Show what is counted, on a thread of its own, to whoever reaches the address.

    Raises:
        OSError: the port is taken, or not ours to take.
    """
    start_http_server(port, addr=host, registry=REGISTRY)
