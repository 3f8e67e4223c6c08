"""The open incidents that a release can be composed for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from portal.people.models import User


@dataclass(frozen=True, kw_only=True)
class OpenIncident:
    """An incident that is open; `link` is what a release names it by, `title` the reason it is given."""

    number: int
    service: str
    environment: str
    title: str
    link: str

    def __str__(self) -> str:
        return f"{self.number} · {self.service} ({self.environment}): {self.title}"


# Filled by the app that knows the rows; releases cannot import it.
SOURCES: list[Callable[[User, str], Sequence[OpenIncident]]] = []


def open_incidents(user: User, system: str) -> list[OpenIncident]:
    """The open incidents of a system that the person may see, the newest first."""
    return [each for find in SOURCES for each in find(user, system)]


def named(link: str, reason: str, offered: Sequence[OpenIncident]) -> dict[str, str] | None:
    """The incident as a release keeps it; the title of an offered one is its reason where none is said."""
    if not link and not reason:
        return None
    title = next((each.title for each in offered if each.link == link), "")
    return {"link": link, "reason": reason or title}
