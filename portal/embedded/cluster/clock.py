"""Times as Kubernetes writes them."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime | None = None) -> str:
    """RFC 3339 in whole seconds, as in `2024-05-01T10:00:00Z`."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(moment: datetime | None = None) -> str:
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    return datetime.fromisoformat(text)


def age(text: str | None) -> float:
    """Seconds since a written time; 0 where there is none."""
    return (now() - parse(text)).total_seconds() if text else 0.0
