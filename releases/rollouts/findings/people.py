"""Who decides about a finding: the team lead of the service's team, or the next role up the ladder."""

from collections.abc import Mapping

from approvals.policy import LADDER
from portal.frame import NONE, Counts
from portal.people.models import Role, RoleAssignment, User
from portal.reader import Reader
from releases.catalog.models import Service
from releases.inbox import Other
from releases.rollouts.findings.differences import read
from releases.rollouts.findings.wording import in_short
from releases.rollouts.models import Finding
from releases.rollouts.states import FindingState

# By (role, scope) the people who hold it now.
Holders = Mapping[tuple[str, str], list[User]]
FIRST = Role.TEAM_LEAD
SETTLING = (FIRST, Role(LADDER[FIRST]))


def holders() -> Holders:
    """Read in one query who holds the roles that can settle a finding."""
    held = RoleAssignment.objects.filter(role__in=SETTLING, revoked_at=None, user__is_active=True)
    found: dict[tuple[str, str], list[User]] = {}
    for each in held.select_related("user").order_by("user"):
        found.setdefault((each.role, each.scope), []).append(each.user)
    return found


def deciders_of(service: Service, held: Holders | None = None) -> list[User]:
    """Those who may settle what is found of a service; the role climbs as in rules.md, "Rows"."""
    known = holders() if held is None else held
    role: str | None = FIRST
    while role is not None:
        scopes = (f"team:{service.team.key}", "*")
        found = list(dict.fromkeys(user for scope in scopes for user in known.get((role, scope), ())))
        if found:
            return found
        role = LADDER.get(role)
    return []


def waiting_for(user: User) -> list[Finding]:
    """The open findings that the person may settle, the oldest first."""
    held = holders()
    if not any(user in people for people in held.values()):
        return []
    found = Finding.objects.filter(state=FindingState.OPEN).select_related("service__team", "environment")
    return [each for each in found.order_by("pk") if user in deciders_of(each.service, held)]


def others_waiting_for(user: User) -> list[Other]:
    """The same as rows of the API's inbox."""
    return [
        Other(
            kind="finding",
            key=each.pk,
            title=f"{each.service.name}: {in_short(read(each.differences))}",
            state=each.state,
            environment=each.environment.name,
            since=each.opened_at,
        )
        for each in waiting_for(user)
    ]


def counts(reader: Reader) -> Counts:
    """What the person's findings add to the numbers in every header; most people settle none."""
    settles = reader.holds(*SETTLING)
    return {**NONE, "waiting_count": len(waiting_for(reader.user))} if settles else NONE
