"""Grades A to D by rules.md alone: who must say yes, whose yes counts, what each act is answered.

Nothing here is taken from the product's code, and nothing of it is imported. It is slow and plain: whether
the rows can be met is found by trying every choice.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

Capacity = tuple[str, str]
ABOVE = {"pl": "team_lead", "team_lead": "director", "infra_senior": "director"}
OPEN_STATES = ("in_review", "approved")


@dataclass(frozen=True)
class Service:
    """One service of the company."""

    name: str
    team: str
    core: bool


@dataclass(frozen=True)
class Row:
    """Somebody with this role over this scope must say yes; `wider` are the scopes that contain it."""

    role: str
    scope: str
    wider: frozenset[str] = frozenset()

    def is_for(self, capacity: Capacity) -> bool:
        """Whether who holds this could fill the row."""
        role, scope = capacity
        return role == self.role and scope in {self.scope, "*", *self.wider}


@dataclass
class Company:
    """Who holds what, and whose account is open."""

    held: dict[str, set[Capacity]]
    closed: set[str] = field(default_factory=set)

    def holds(self, person: str) -> set[Capacity]:
        """What a person holds now; nothing with a closed account."""
        return set() if person in self.closed else self.held.get(person, set())

    def holders(self, row: Row) -> set[str]:
        """Everybody who could fill a row, barred or not."""
        return {person for person in self.held if any(row.is_for(each) for each in self.holds(person))}


@dataclass(frozen=True)
class Yes:
    """One approval: by whom, and in what they held then."""

    person: str
    capacities: frozenset[Capacity]


def lowest_grade(services: Iterable[Service], facts: Collection[str]) -> str:
    """rules.md, "Grade from facts", for releases of new versions; the highest counts."""
    core = any(service.core for service in services)
    found = {"D" if core else "B"}
    if "new_api" in facts:
        found.add("C")
    if "infrastructure" in facts:
        found.add("D" if core else "C")
    if {"database_change", "traffic_path"} & set(facts):
        found.add("D")
    return max(found)


def rows_of(
    grade: str, services: Iterable[Service], facts: Collection[str], company: Company, *, author: str
) -> list[Row]:
    """rules.md, "Rows": before anybody climbs, save the author's own PL rows."""
    rows: list[Row] = []
    for service in services:
        team = f"team:{service.team}"
        own = Row("pl", f"service:{service.name}", frozenset({team}))
        if grade in "CD" or author in company.holders(own):
            rows.append(Row("team_lead", team))
        else:
            rows.append(own)
    if grade == "D" and {"infrastructure", "traffic_path"} & set(facts):
        rows.append(Row("infra_senior", "cluster_group:production"))
    return list(dict.fromkeys(rows))


def climbed(row: Row, services: Iterable[Service], company: Company, barred: set[str]) -> Row:
    """The row, or the next one up for which somebody who is not barred exists; the ladder's end otherwise."""
    while not company.holders(row) - barred and row.role in ABOVE:
        scope = row.scope
        if row.role == "pl":
            scope = next(f"team:{each.team}" for each in services if row.scope == f"service:{each.name}")
        row = Row(ABOVE[row.role], scope)
    return row


def can_be_met(rows: Collection[Row], votes: Collection[Yes]) -> bool:
    """Whether each person can be given one role so that every row has somebody."""
    if not rows:
        return False
    roles = sorted({row.role for row in rows})
    return any(
        all(
            any(
                role == row.role and any(row.is_for(capacity) for capacity in vote.capacities)
                for vote, role in zip(votes, choice, strict=True)
            )
            for row in rows
        )
        for choice in itertools.product(roles, repeat=len(votes))
    )


@dataclass
class Release:
    """One release and its round of review.

    Attributes:
        barred: who wrote this content, fixed when it is submitted.
        yes: the approvals of this round that nobody has taken back.
        objections: how many are unanswered.
    """

    author: str
    services: list[Service]
    facts: set[str]
    chosen: str
    contributors: set[str] = field(default_factory=set)
    state: str = "draft"
    rows: list[Row] = field(default_factory=list)
    barred: set[str] = field(default_factory=set)
    yes: dict[str, Yes] = field(default_factory=dict)
    objections: int = 0

    @property
    def proposed(self) -> str:
        """The grade that the facts demand."""
        return lowest_grade(self.services, self.facts)

    def submit(self, company: Company) -> str:
        """Copy the rows; refused when nobody could meet them."""
        if self.state not in ("draft", "sent_back"):
            return "wrong_state"
        barred = {self.author, *self.contributors}
        # A lowered grade keeps the review rows of the proposed one; a raised one brings its own.
        grade = max(self.chosen, self.proposed)
        first = rows_of(grade, self.services, self.facts, company, author=self.author)
        rows = list(dict.fromkeys(climbed(row, self.services, company, barred) for row in first))
        everybody = [
            Yes(person, frozenset(useful))
            for person in company.held
            if person not in barred
            if (useful := {each for each in company.holds(person) if any(row.is_for(each) for row in rows)})
        ]
        if not can_be_met(rows, everybody):
            return "unfulfillable"
        self.rows, self.barred, self.yes, self.state = rows, barred, {}, "in_review"
        return ""

    def edit(self, person: str) -> str:
        """Another content: whatever was decided is void."""
        if self.state not in ("draft", "sent_back", *OPEN_STATES):
            return "wrong_state"
        self.contributors.add(person)
        if self.state in OPEN_STATES:
            self.state, self.yes = "draft", {}
        return ""

    def approve(self, person: str, company: Company, *, stale: bool = False) -> str:
        """A yes, or why not, in the order of rules.md."""
        refused = self._refusal(person, company, states=("in_review",), stale=stale)
        if refused:
            return refused
        asked = {each for each in company.holds(person) if any(row.is_for(each) for row in self.rows)}
        self.yes[person] = Yes(person, frozenset(asked))
        self.follow(company)
        return ""

    def refuse(self, person: str, verdict: str, company: Company, *, stale: bool = False) -> str:
        """Send back or reject."""
        refused = self._refusal(person, company, states=OPEN_STATES, stale=stale)
        if refused:
            return refused
        self.state = {"send_back": "sent_back", "reject": "rejected"}[verdict]
        self.yes = {}
        return ""

    def take_back(self, person: str, company: Company) -> str:
        """A yes of one's own, before anything has begun."""
        if person not in self.yes or self.state not in OPEN_STATES:
            return "refused"
        del self.yes[person]
        self.follow(company)
        return ""

    def follow(self, company: Company) -> None:
        """In review or approved, as the rows say now."""
        if self.state in OPEN_STATES:
            self.state = "approved" if self.is_met(company) else "in_review"

    def is_met(self, company: Company) -> bool:
        """Whether enough entitled people, none of whom wrote it, have said yes and could still."""
        counting = [
            Yes(vote.person, vote.capacities & frozenset(company.holds(vote.person)))
            for vote in self.yes.values()
            if vote.person not in self.barred
        ]
        return can_be_met(self.rows, counting)

    def missing(self, company: Company) -> Iterator[str]:
        """What a start lacks beside its state."""
        if not self.is_met(company):
            yield "requirement"
        if self.chosen == "D" and self.objections:
            yield "objection"

    def _refusal(self, person: str, company: Company, *, states: Collection[str], stale: bool) -> str:
        if self.state not in states:
            return "wrong_state"
        if stale:
            return "stale_digest"
        if person in self.barred:
            return "self_approval"
        held = company.holds(person)
        if not any(row.is_for(capacity) for row in self.rows for capacity in held):
            return "not_entitled"
        return "already_decided" if person in self.yes else ""
