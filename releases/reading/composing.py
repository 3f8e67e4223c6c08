"""What the compose page shows: services with their versions, the announcement to be, and open points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict
from django.utils.translation import gettext as _

from portal import access
from portal.errors import PermanentError, PortalError, TemporaryError
from portal.people.models import User
from releases import queries
from releases.announcement import Announcement, announcement_of, write
from releases.catalog import versions
from releases.catalog.models import Environment, Running, Service
from releases.completeness import missing_in_draft
from releases.forms import CHANGE_COLUMNS, CONFIGURATION_COLUMNS, typed_rows
from releases.models import Release
from releases.operations.apply import templates_for

PART_OF_FIELD = {
    "items": "items",
    "plan": "when",
    "grade_reason": "grade",
    "incident": "grade",
}


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A version on offer."""

    version: str
    created: datetime | None
    is_running: bool


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A service in the picker: what runs, what is on offer, what is chosen.

    Attributes:
        chosen: the version selected in the list, "" for none.
        other: a version written by hand.
        newer: the newest version, when it is neither chosen nor running.
        problem: why there are no versions, or what was wrong with the choice.
        may_compose: without it the service is shown but cannot be ticked.
        configuration: the keys that change with it, an empty row last.
        built_by: who was said to have built the chosen version.
    """

    service: Service
    running: str
    offers: Sequence[Offer]
    ticked: bool
    chosen: str
    other: str
    newer: str
    problem: str
    error: str
    may_compose: bool
    configuration: Sequence[Mapping[str, str]]
    built_by: str = ""

    @property
    def is_current(self) -> bool:
        """Whether the newest version runs already."""
        return bool(self.offers) and self.offers[0].is_running


def picks(
    user: User,
    environment: Environment,
    *,
    chosen: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    configuration: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
    built_by: Mapping[str, str] | None = None,
) -> list[Pick]:
    """Every service of the environment, those with something new first.

    Args:
        chosen: the version of each ticked service; "" takes the newest.
        errors: what was wrong, by service.
        configuration: keys that change, by service.
        built_by: who was named as its builder, by service.
    """
    services = access.visible(user, Service).filter(environments=environment).select_related("team")
    mine = set(access.visible_set(user, Service, "compose").values_list("pk", flat=True))
    running = {
        row.service_id: str(row.seen.get("version") or "")
        for row in Running.objects.filter(environment=environment)
    }
    silent: dict[str, str] = {}
    found = [
        _pick(
            service,
            running=running.get(service.pk, ""),
            offered=_offered(service, silent),
            chosen=chosen,
            error=(errors or {}).get(service.name, ""),
            may_compose=service.pk in mine,
            configuration=(configuration or {}).get(service.name, ()),
            built_by=(built_by or {}).get(service.name, ""),
        )
        for service in services
    ]
    return sorted(found, key=lambda pick: (not pick.ticked, pick.is_current, not pick.may_compose))


def chosen_in(release: Release) -> dict[str, str]:
    """The version of each service in the release."""
    return {item.service.name: item.version for item in release.items.all()}


def preview(release: Release, typed: QueryDict | None = None) -> str:
    """The announcement as it would read with what is typed now; the author's own wording wins."""
    if typed is None:
        return announcement_of(release)
    if own := typed.get("announcement", "").strip():
        return own
    chosen = {
        name: typed.get(f"other-{name}", "").strip() or typed.get(f"version-{name}", "")
        for name in typed.getlist("service")
    }
    rows = [row for row in typed_rows(typed, "changes", CHANGE_COLUMNS) if not row.is_empty]
    return write(
        Announcement(
            system=release.environment.system,
            versions=list((chosen or chosen_in(release)).items()),
            grade=typed.get("grade", "") or release.proposal.get("grade", ""),
            has_database_change=any(name.startswith("fact-database_change") for name in typed),
            changes=[(row.values["area"], row.values["text"]) for row in rows],
        )
    )


def checks_to_come(release: Release) -> list[dict[str, object]]:
    """The checklist's items that a submission would copy."""
    return [
        {
            "phase": item.get("phase", "before"),
            "text": item["text"],
            "role": item.get("role", ""),
            "required": item.get("required", True),
            "measured": "check" in item,
        }
        for template in templates_for(release)
        for item in template.spec.get("items", [])
    ]


def open_points(release: Release) -> list[dict[str, str]]:
    """What a draft still needs, each with the part of the page where it is settled."""
    points = [
        {"part": PART_OF_FIELD.get(name, "items"), "text": text} for name, text in missing_in_draft(release)
    ]
    for row in queries.requirements_of(release) if release.grade != "E" else ():
        if not row.fulfillable:
            text = _("Nobody can approve as {role} of {scope}.").format(role=row.role_name, scope=row.place)
            points.append({"part": "grade", "text": text})
    return points


def _pick(
    service: Service,
    *,
    running: str,
    offered: tuple[list[Offer], str],
    chosen: Mapping[str, str],
    error: str,
    may_compose: bool,
    configuration: Sequence[Mapping[str, str]],
    built_by: str,
) -> Pick:
    offers = [
        Offer(version=offer.version, created=offer.created, is_running=offer.version == running)
        for offer in offered[0]
    ]
    wanted = chosen.get(service.name, "")
    listed = {offer.version for offer in offers}
    newest = offers[0].version if offers else ""
    return Pick(
        service=service,
        running=running,
        offers=offers,
        ticked=service.name in chosen,
        chosen=wanted if wanted in listed else newest,
        other="" if not wanted or wanted in listed else wanted,
        newer=newest if wanted and newest not in {wanted, running} else "",
        problem=offered[1],
        error=error,
        may_compose=may_compose,
        configuration=[*configuration, dict.fromkeys(CONFIGURATION_COLUMNS, "")],
        built_by=built_by,
    )


def _offered(service: Service, silent: dict[str, str]) -> tuple[list[Offer], str]:
    """The versions of a service, or why there are none; a silent registry is asked once a page."""
    host, _repository = versions.split_image(service.image)
    if host in silent:
        return [], silent[host]
    try:
        found = versions.versions(service)
    except TemporaryError as error:
        silent[host] = _words(error)
        return [], silent[host]
    except PermanentError as error:
        return [], _words(error)
    return [Offer(version=each.version, created=each.created, is_running=False) for each in found], ""


def _words(error: PortalError) -> str:
    return str(error.detail or error.title)
