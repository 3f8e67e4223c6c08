"""The grade that the facts of a release demand, with every reason (rules.md, "Grade from facts")."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

ORDINARY = "ABCD"
EMERGENCY = "E"


class Fact(StrEnum):
    """What can be true of a release and speak for a grade."""

    FEATURE_FLAG = "feature_flag"
    SCALE_ONLY = "scale_only"
    SAFE_CONFIGURATION = "safe_configuration"
    CONFIGURATION = "configuration_only"
    CHANGED_KEYS = "changed_keys"
    NEW_VERSION = "new_version"
    SAME_VERSION = "same_version"
    NOT_BORNE_OUT = "not_borne_out"
    NEW_API = "new_api"
    INFRASTRUCTURE = "infrastructure"
    CORE_SERVICE = "core_service"
    DATABASE_CHANGE = "database_change"
    TRAFFIC_PATH = "traffic_path"
    RESTART = "restart"
    JOB = "job"


SENTENCES: dict[str, str | Promise] = {
    Fact.FEATURE_FLAG: _("Only a feature flag is toggled"),
    Fact.SCALE_ONLY: _("Only the scale changes"),
    Fact.SAFE_CONFIGURATION: _("Configuration changes, all of it on the list of safe keys"),
    Fact.CONFIGURATION: _("Only configuration changes"),
    Fact.CHANGED_KEYS: _("Configuration changes that is not on the list of safe keys"),
    Fact.NEW_VERSION: _("New version"),
    Fact.SAME_VERSION: _("It runs already, and what changes is not said"),
    Fact.NOT_BORNE_OUT: _("Said to leave the image as it is; what is known to run does not bear that out"),
    Fact.NEW_API: _("New API"),
    Fact.INFRASTRUCTURE: _("Infrastructure is touched"),
    Fact.CORE_SERVICE: _("New version of a core service"),
    Fact.DATABASE_CHANGE: _("Database change"),
    Fact.TRAFFIC_PATH: _("The traffic path is touched"),
    Fact.RESTART: _("New pods take up whatever configuration has changed since the old ones began"),
    Fact.JOB: _("A Job runs whose effect is not seen here"),
}
STATED = "stated"
MEASURED = "measured"
# What a measured reason rests on; a step of the plan is told by the object that it touches.
BY_IMAGE, BY_KEYS, BY_CATALOG, BY_OPERATION, BY_PLAN = "image", "keys", "catalog", "operation", "plan:"
ORIGINS: dict[str, str | Promise] = {
    BY_IMAGE: _("its image, compared with what runs"),
    BY_KEYS: _("the changed keys"),
    BY_CATALOG: _("what the catalog says of each new version"),
    BY_OPERATION: _("the operation itself"),
}
# What an operation is by itself, beside what its step touches.
OPERATIONS = {"restart": Fact.RESTART, "run_job": Fact.JOB}
# Facts that raise the grade by themselves, whatever sort of change it is.
FURTHER = (Fact.NEW_API, Fact.INFRASTRUCTURE, Fact.DATABASE_CHANGE, Fact.TRAFFIC_PATH)


@dataclass(frozen=True, kw_only=True)
class ItemFacts:
    """What is true of one service in a release: what people state, and what the portal knows itself.

    Attributes:
        core: real-time, or marked core in the catalog.
        same_image: what the release would put there is known to run there already; without it no claim
            of "only a flag", "only scaling" or "only configuration" is believed.
        changed_keys: configuration keys that change; an empty list proves nothing about them.
        safe_keys: keys the service calls safe.
        touches: what every new version of the service touches, as the catalog has it; counts unless the
            image stays.
        planned: (fact, object) of each step of the plan that touches more than the workloads; counts always.
        operation: what is done to what runs, where no image is put anywhere; "" for a release of a version.
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
    touches: frozenset[str] = frozenset()
    planned: tuple[tuple[str, str], ...] = ()
    operation: str = ""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One fact of one service and the lowest grade it allows.

    Attributes:
        source: stated or measured.
        origin: what a measured one rests on: a key of `ORIGINS`, or "plan:" and the object touched.
    """

    fact: str
    service: str
    grade: str
    source: str = STATED
    origin: str = ""

    @property
    def text(self) -> str:
        """The fact in the reader's language."""
        return str(SENTENCES.get(self.fact, self.fact))

    @property
    def origin_text(self) -> str:
        """What it rests on, in the reader's language; empty where people stated it."""
        if self.origin.startswith(BY_PLAN):
            return gettext("the plan: {object}").format(object=self.origin.removeprefix(BY_PLAN))
        return str(ORIGINS.get(self.origin, ""))


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


def further(item: ItemFacts) -> frozenset[str]:
    """The facts of `FURTHER` that are true of an item, stated or known."""
    stays = item.same_image or item.operation
    known = {fact for fact, _object in item.planned} | (set() if stays else item.touches)
    return frozenset(str(fact) for fact in FURTHER if fact in known or getattr(item, fact))


def is_lowered(chosen: str, proposed: str) -> bool:
    """Whether the author went below the proposal; E is a choice of its own, not a lower grade."""
    return chosen in ORDINARY and proposed in ORDINARY and chosen < proposed


def _reasons(item: ItemFacts, *, any_core: bool) -> list[Reason]:
    grades = {
        Fact.NEW_API: "C",
        Fact.INFRASTRUCTURE: "D" if any_core else "C",
        Fact.DATABASE_CHANGE: "D",
        Fact.TRAFFIC_PATH: "D",
    }
    true = further(item)
    found = [
        Reason(fact=fact, service=item.service, grade=grades[fact], **_grounds(item, fact))
        for fact in FURTHER
        if fact in true
    ]
    return [*_kind(item), *found]


def _grounds(item: ItemFacts, fact: Fact) -> dict[str, str]:
    """What the plan does is known whatever is said; the catalog's word fills in where nobody said it."""
    objects = [touched for planned, touched in item.planned if planned == fact]
    if objects:
        return {"source": MEASURED, "origin": BY_PLAN + ", ".join(dict.fromkeys(objects))}
    if getattr(item, fact):
        return {"source": STATED}
    return {"source": MEASURED, "origin": BY_CATALOG}


def _kind(item: ItemFacts) -> list[Reason]:
    """What sort of change this is; a claim of "only" that the image contradicts is not believed."""
    if item.operation:
        return [*_operated(item), *_scaled(item)]
    claims = [*_only(item), *_configuration(item)]
    if item.same_image and claims:
        return claims
    grade = "D" if item.core else "B"
    kind = Fact.CORE_SERVICE if item.core else Fact.NEW_VERSION
    seen = Fact.SAME_VERSION if item.same_image else kind
    about = {"service": item.service, "grade": grade, "source": MEASURED, "origin": BY_IMAGE}
    found = [Reason(fact=seen, **about)]
    if any(claim.source == STATED for claim in claims):
        found.append(Reason(fact=Fact.NOT_BORNE_OUT, **about))
    return [*found, *(claim for claim in claims if claim.source == MEASURED)]


def _operated(item: ItemFacts) -> list[Reason]:
    """A restart and a Job count as configuration whose keys nobody knows: such may take effect by them."""
    fact = OPERATIONS.get(item.operation)
    grade = "C" if item.core else "B"
    about = {"service": item.service, "grade": grade, "source": MEASURED, "origin": BY_OPERATION}
    return [Reason(fact=fact, **about)] if fact else []


def _only(item: ItemFacts) -> list[Reason]:
    """The claims that nothing but a flag or the scale changes."""
    claims = ((Fact.FEATURE_FLAG, item.feature_flag), (Fact.SCALE_ONLY, item.scale_only))
    said = [Reason(fact=fact, service=item.service, grade="A") for fact, is_said in claims if is_said]
    return [*said, *_scaled(item)]


def _scaled(item: ItemFacts) -> list[Reason]:
    """Scaling by the plan within the known bounds; beside a new image it is no reason of its own."""
    stays = item.same_image or item.operation
    known = [what for fact, what in item.planned if fact == Fact.SCALE_ONLY and stays]
    if not known:
        return []
    origin = BY_PLAN + ", ".join(known)
    return [Reason(fact=Fact.SCALE_ONLY, service=item.service, grade="A", source=MEASURED, origin=origin)]


def _configuration(item: ItemFacts) -> list[Reason]:
    """Changed keys are known; without them "only configuration" is a claim."""
    if not item.changed_keys:
        grade = "C" if item.core else "B"
        claim = Reason(fact=Fact.CONFIGURATION, service=item.service, grade=grade)
        return [claim] if item.configuration_only else []
    is_safe = item.changed_keys <= item.safe_keys
    grade = "A" if is_safe else "C" if item.core else "B"
    fact = Fact.SAFE_CONFIGURATION if is_safe else Fact.CHANGED_KEYS
    return [Reason(fact=fact, service=item.service, grade=grade, source=MEASURED, origin=BY_KEYS)]
