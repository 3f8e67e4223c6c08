"""The grade that the facts of a release demand, with every reason (rules.md, "Grade from facts")."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

ORDINARY = "ABCD"
EMERGENCY = "E"


class Fact(StrEnum):
    """What can be true of a release and speak for a grade."""

    FEATURE_FLAG = "feature_flag"
    SCALE_ONLY = "scale_only"
    SAFE_CONFIGURATION = "safe_configuration"
    CONFIGURATION = "configuration_only"
    NEW_VERSION = "new_version"
    NEW_API = "new_api"
    INFRASTRUCTURE = "infrastructure"
    CORE_SERVICE = "core_service"
    DATABASE_CHANGE = "database_change"
    TRAFFIC_PATH = "traffic_path"


SENTENCES: dict[str, str | Promise] = {
    Fact.FEATURE_FLAG: _("Only a feature flag is toggled"),
    Fact.SCALE_ONLY: _("Only the scale changes"),
    Fact.SAFE_CONFIGURATION: _("Only configuration on the list of safe keys changes"),
    Fact.CONFIGURATION: _("Only configuration changes"),
    Fact.NEW_VERSION: _("New version"),
    Fact.NEW_API: _("New API"),
    Fact.INFRASTRUCTURE: _("Infrastructure is touched"),
    Fact.CORE_SERVICE: _("New version of a core service"),
    Fact.DATABASE_CHANGE: _("Database change"),
    Fact.TRAFFIC_PATH: _("The traffic path is touched"),
}


@dataclass(frozen=True, kw_only=True)
class ItemFacts:
    """What is true of one service in a release.

    Attributes:
        core: real-time, or marked core in the catalog.
        same_image: what the release would put there is known to run there already; without it no claim
            of "only a flag", "only scaling" or "only configuration" is believed.
        changed_keys: configuration keys that change; an empty list proves nothing about them.
        safe_keys: keys the service calls safe.
    """

    service: str
    core: bool = False
    same_image: bool = False
    feature_flag: bool = False
    scale_only: bool = False
    configuration_only: bool = False
    changed_keys: frozenset[str] = frozenset()
    safe_keys: frozenset[str] = frozenset()
    new_api: bool = False
    infrastructure: bool = False
    traffic_path: bool = False
    database_change: bool = False


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One fact of one service and the lowest grade it allows."""

    fact: str
    service: str
    grade: str

    @property
    def text(self) -> str:
        """The fact in the reader's language."""
        return str(SENTENCES.get(self.fact, self.fact))


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The lowest grade the facts allow, and why, the gravest reason first."""

    grade: str
    reasons: tuple[Reason, ...]


def propose(items: Sequence[ItemFacts]) -> Proposal:
    """Return the highest of the grades that the items' facts demand; A for no item at all."""
    any_core = any(item.core for item in items)
    reasons = [reason for item in items for reason in _reasons(item, any_core=any_core)]
    reasons.sort(key=lambda reason: reason.grade, reverse=True)
    return Proposal(grade=max((reason.grade for reason in reasons), default="A"), reasons=tuple(reasons))


def is_lowered(chosen: str, proposed: str) -> bool:
    """Whether the author went below the proposal; E is a choice of its own, not a lower grade."""
    return chosen in ORDINARY and proposed in ORDINARY and chosen < proposed


def _reasons(item: ItemFacts, *, any_core: bool) -> list[Reason]:
    found = _kind(item)
    if item.new_api:
        found.append((Fact.NEW_API, "C"))
    if item.infrastructure:
        found.append((Fact.INFRASTRUCTURE, "D" if any_core else "C"))
    if item.database_change:
        found.append((Fact.DATABASE_CHANGE, "D"))
    if item.traffic_path:
        found.append((Fact.TRAFFIC_PATH, "D"))
    return [Reason(fact=fact, service=item.service, grade=grade) for fact, grade in found]


def _kind(item: ItemFacts) -> list[tuple[Fact, str]]:
    """What sort of change this is; a claim of "only" that the image contradicts is not believed."""
    claims: list[tuple[Fact, str]] = []
    if item.feature_flag:
        claims.append((Fact.FEATURE_FLAG, "A"))
    if item.scale_only:
        claims.append((Fact.SCALE_ONLY, "A"))
    if item.configuration_only or item.changed_keys:
        claims.append(_configuration(item))
    if item.same_image and claims:
        return claims
    version = (Fact.CORE_SERVICE, "D") if item.core else (Fact.NEW_VERSION, "B")
    return [version, *(claim for claim in claims if claim[1] > version[1])]


def _configuration(item: ItemFacts) -> tuple[Fact, str]:
    if item.changed_keys and item.changed_keys <= item.safe_keys:
        return Fact.SAFE_CONFIGURATION, "A"
    return Fact.CONFIGURATION, "C" if item.core else "B"
