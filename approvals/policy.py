"""From grade, services and people to the rows that must be met (rules.md, "Rows").

Pure: tables and people come in, rows go out. The shape of a table is in approvals.policy_table.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from approvals import matching
from approvals.matching import Capacity
from approvals.policy_table import GradePolicy, RowRule
from approvals.states import Phase
from portal.people.models import Role

LADDER: dict[str, str] = {
    Role.PL: Role.TEAM_LEAD,
    Role.TEAM_LEAD: Role.DIRECTOR,
    Role.INFRA_SENIOR: Role.DIRECTOR,
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One service concerned: whose it is, where it goes, and the facts that conditions of rows look at."""

    service: str
    team: str
    core: bool = False
    cluster_group: str = "default"
    facts: frozenset[str] = frozenset()

    def scope(self, word: str) -> str:
        """The scope that a word of the policy means for this part, such as "team:commerce"."""
        if word == "*":
            return word
        value = {"service": self.service, "team": self.team, "cluster_group": self.cluster_group}[word]
        return f"{word}:{value}"


@dataclass(frozen=True, kw_only=True)
class People:
    """Who holds what, and who does not count here.

    Attributes:
        holders: active people by (role, scope).
        barred: author, contributors and builders.
        author: who asks; holding PL themselves they send the row to the team lead.
    """

    holders: Mapping[Capacity, frozenset[int]]
    barred: frozenset[int] = frozenset()
    author: int | None = None

    def holding(self, accepted: Iterable[Capacity]) -> frozenset[int]:
        """Everybody who holds one of the capacities."""
        return frozenset(person for capacity in accepted for person in self.holders.get(capacity, ()))

    def holds(self, person: int | None, capacities: Iterable[Capacity]) -> bool:
        """Whether a person holds one of the capacities."""
        return any(person in self.holders.get(capacity, ()) for capacity in capacities)

    def counting(self, accepted: Iterable[Capacity]) -> frozenset[int]:
        """The holders who are not barred."""
        return self.holding(accepted) - self.barred

    @cached_property
    def capacities(self) -> Mapping[int, frozenset[Capacity]]:
        """What each person who counts holds."""
        held: dict[int, set[Capacity]] = {}
        for capacity, persons in self.holders.items():
            for person in persons - self.barred:
                held.setdefault(person, set()).add(capacity)
        return {person: frozenset(capacities) for person, capacities in held.items()}


@dataclass(frozen=True, kw_only=True)
class Climb:
    """A step of the ladder left behind; why is "author", "barred" or "vacant"."""

    role: str
    scope: str
    why: str


@dataclass(frozen=True, kw_only=True)
class RequiredRow:
    """A requirement before it is stored: who must say yes, because of which services."""

    phase: str
    role: str
    scope: str
    count: int
    accepted: tuple[Capacity, ...]
    because: tuple[str, ...]
    climbed: tuple[Climb, ...] = ()
    fulfillable: bool = True


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A row on its way: asked for by one part or by several that are the same to it, of which one stands."""

    rule: RowRule
    phase: str
    part: Part
    because: tuple[str, ...]
    role: str
    word: str
    climbed: tuple[Climb, ...] = field(default=())

    @property
    def scope(self) -> str:
        return self.part.scope(self.word)

    @cached_property
    def accepted(self) -> tuple[Capacity, ...]:
        """What serves the row: wider scopes too, and other roles as long as it has not climbed."""
        roles = (self.role, *(self.rule.alternatives if not self.climbed else ()))
        return tuple((role, scope) for role in roles for scope in _covering(self.part, self.word))


def requirements(
    chosen: GradePolicy, parts: Sequence[Part], people: People, *, review_of: GradePolicy | None = None
) -> list[RequiredRow]:
    """Return the rows of a release, climbed where holders are barred or missing, with who cannot be found.

    Args:
        chosen: the policy of the chosen grade.
        review_of: the policy whose review rows apply instead, when the grade was lowered.
    """
    phases = {
        Phase.REVIEW: (review_of or chosen).review,
        Phase.SIGNOFF: chosen.signoff,
        Phase.OWED: chosen.owed,
    }
    rows: list[RequiredRow] = []
    for phase, rules in phases.items():
        drafts = [_climb(draft, people) for rule in rules for draft in _drafts(rule, phase, parts)]
        rows += judged(_merge(drafts), people)
    return rows


def missing(rows: Iterable[RequiredRow]) -> list[RequiredRow]:
    """The rows that nobody could meet."""
    return [row for row in rows if not row.fulfillable]


def _drafts(rule: RowRule, phase: str, parts: Sequence[Part]) -> Iterator[_Draft]:
    """One for each scope that the rule means: of it alone depends who may serve."""
    scopes: dict[str, list[Part]] = {}
    for part in _concerned(rule, parts):
        scopes.setdefault(part.scope(rule.scope), []).append(part)
    for found in scopes.values():
        because = tuple(part.service for part in found)
        yield _Draft(rule=rule, phase=phase, part=found[0], because=because, role=rule.role, word=rule.scope)


def _concerned(rule: RowRule, parts: Sequence[Part]) -> list[Part]:
    """Every part, once some part has a fact that a conditional row asks for."""
    if rule.when and not any(part.facts & rule.when for part in parts):
        return []
    return [part for part in parts if not rule.when or part.facts & rule.when]


def _covering(part: Part, word: str) -> tuple[str, ...]:
    """Scopes in which a role serves a row: the row's own, the team above a service, and everywhere."""
    wider = (part.scope("team"),) if word == "service" else ()
    return tuple(dict.fromkeys((part.scope(word), *wider, "*")))


def _climb(draft: _Draft, people: People) -> _Draft:
    """Go up the ladder until somebody who counts holds the role, or the ladder ends."""
    while why := _reason_to_climb(draft, people):
        above = LADDER.get(draft.role)
        if above is None:
            return draft
        step = Climb(role=draft.role, scope=draft.scope, why=why)
        word = "team" if draft.word == "service" else draft.word
        draft = replace(draft, role=above, word=word, climbed=(*draft.climbed, step))
    return draft


def _reason_to_climb(draft: _Draft, people: People) -> str:
    holders = people.holding(draft.accepted)
    if draft.rule.author_climbs and not draft.climbed:
        own = ((draft.role, scope) for scope in _covering(draft.part, draft.word))
        if people.holds(people.author, own):
            return "author"
    if not holders:
        return "vacant"
    return "" if holders - people.barred else "barred"


def _merge(drafts: Iterable[_Draft]) -> list[RequiredRow]:
    """One row for each role and scope, naming every service it stands for."""
    rows: dict[tuple[str, str, tuple[Capacity, ...]], RequiredRow] = {}
    for draft in drafts:
        key = (draft.role, draft.scope, draft.accepted)
        known = rows.get(key)
        rows[key] = RequiredRow(
            phase=draft.phase,
            role=draft.role,
            scope=draft.scope,
            count=max(draft.rule.count, known.count if known else 1),
            accepted=draft.accepted,
            because=tuple(dict.fromkeys([*(known.because if known else ()), *draft.because])),
            climbed=tuple(dict.fromkeys([*(known.climbed if known else ()), *draft.climbed])),
        )
    return list(rows.values())


def judged(rows: list[RequiredRow], people: People) -> list[RequiredRow]:
    """Mark the rows that stay unmet even if everybody who counts says yes."""
    wanted = [
        matching.Row(key=key, role=row.role, count=row.count, accepted=frozenset(row.accepted))
        for key, row in enumerate(rows)
    ]
    held: dict[int, set[Capacity]] = {}
    for capacity in dict.fromkeys(capacity for row in rows for capacity in row.accepted):
        for person in people.holders.get(capacity, ()):
            if person not in people.barred:
                held.setdefault(person, set()).add(capacity)
    votes = [
        matching.Vote(person=person, capacities=frozenset(found)) for person, found in sorted(held.items())
    ]
    open_rows = {row.key for row in matching.unmet(wanted, matching.match(wanted, votes))}
    return [replace(row, fulfillable=False) if key in open_rows else row for key, row in enumerate(rows)]
