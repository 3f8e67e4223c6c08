"""Every grade by rules.md alone: who must say yes, whose yes counts and for whom, what each act is answered.

Nothing here is taken from the product's code, and nothing of it is imported. It is slow and plain: whether
the rows can be met is found by trying every choice.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

Capacity = tuple[str, str]
# One holding of a role: given back and held again it is another.
Held = tuple[Capacity, int]
ABOVE = {"pl": "team_lead", "team_lead": "director", "infra_senior": "director"}
OPEN_STATES = ("in_review", "approved")
EDITABLE = ("draft", "sent_back", "submitted", *OPEN_STATES)


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


@dataclass(eq=False)
class Delegation:
    """One person decides for another in one of their roles, until its date or until it is revoked.

    Attributes:
        is_later: made when the release was on its way; by somebody barred it is worth nothing then.
    """

    giver: str
    taker: str
    capacity: Capacity
    is_later: bool = False
    is_past: bool = False
    is_revoked: bool = False

    @property
    def is_in_force(self) -> bool:
        """Whether somebody may decide by it now."""
        return not self.is_past and not self.is_revoked


@dataclass
class Company:
    """Who holds what, who gave it to whom, and whose account is closed."""

    held: dict[str, dict[Capacity, int]]
    delegations: list[Delegation] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    holdings: int = 0

    def holds(self, person: str) -> set[Capacity]:
        """What a person holds now."""
        return set(self.held[person])

    def holders(self, row: Row) -> set[str]:
        """Everybody who could fill a row, barred or not."""
        return {person for person in self.held if any(row.is_for(each) for each in self.holds(person))}

    def gain(self, person: str, capacity: Capacity) -> None:
        """Give a role."""
        self.holdings += 1
        self.held[person][capacity] = self.holdings

    def lose(self, person: str, capacity: Capacity) -> None:
        """Take a role; what was given of it ends with it, because only what one holds can be given."""
        del self.held[person][capacity]
        for each in self.delegations:
            if (each.giver, each.capacity) == (person, capacity) and each.is_in_force:
                each.is_revoked = True

    def close(self, person: str) -> None:
        """Close an account: nothing of it is left, and nobody is decided for by it."""
        for capacity in self.holds(person):
            self.lose(person, capacity)
        for each in self.delegations:
            if each.taker == person and each.is_in_force:
                each.is_revoked = True
        self.closed.add(person)

    def give(self, wanted: Delegation) -> str:
        """Let one decide for another: dated, per role, one hop, and never for each other."""
        if wanted.giver == wanted.taker or wanted.taker in self.closed:
            return "invalid"
        if wanted.capacity not in self.holds(wanted.giver):
            return "invalid"
        for other in self.delegations:
            if not other.is_in_force:
                continue
            is_loop = (wanted.giver, wanted.taker) == (other.taker, other.giver)
            is_chain = wanted.giver == other.taker or wanted.taker == other.giver
            is_again = (wanted.giver, wanted.taker) == (other.giver, other.taker)
            if is_loop or (wanted.capacity == other.capacity and (is_chain or is_again)):
                return "delegation_clash"
        self.delegations.append(wanted)
        return ""


@dataclass(frozen=True)
class Mandate:
    """A name in which a person may decide: their own, or a giver's by delegations."""

    giver: str
    capacities: frozenset[Capacity]
    by: tuple[Delegation, ...] = ()


@dataclass(frozen=True)
class Yes:
    """One approval: by whom, in what they or the giver held then, and by which delegations.

    Attributes:
        then: every role that the person held when deciding.
    """

    person: str
    capacities: frozenset[Capacity]
    giver: str = ""
    by: tuple[Delegation, ...] = ()
    then: frozenset[Held] = frozenset()

    @property
    def name(self) -> str:
        """Whose mandate it is."""
        return self.giver or self.person

    def fits(self, row: Row) -> bool:
        """Whether it could fill the row."""
        return any(row.is_for(capacity) for capacity in self.capacities)


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
    """rules.md, "Rows": before anybody climbs, save the author's own PL rows; for E those that are owed."""
    rows: list[Row] = []
    for service in services:
        team = f"team:{service.team}"
        own = Row("pl", f"service:{service.name}", frozenset({team}))
        if grade in "CDE" or author in company.holders(own):
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


def can_be_met(rows: Collection[Row], votes: Sequence[Yes]) -> bool:
    """Whether each person can be given one role so that every row has somebody, and no mandate counts twice.

    Args:
        votes: in the order of deciding: of two in one name the first has the rows that it fits.
    """
    if not rows:
        return False
    useful = {
        (place, row)
        for place, vote in enumerate(votes)
        for row in rows
        if vote.fits(row)
        if not any(earlier.name == vote.name and earlier.fits(row) for earlier in votes[:place])
    }
    roles = sorted({row.role for row in rows})
    return any(
        all(
            any(role == row.role and (place, row) in useful for place, role in enumerate(choice))
            for row in rows
        )
        for choice in itertools.product(roles, repeat=len(votes))
    )


def everybody_says_yes(rows: Collection[Row], company: Company, barred: set[str]) -> list[Yes]:
    """What it would be if everybody who counts and holds what is asked for approved."""
    votes = [Yes(person, frozenset(company.holds(person))) for person in company.held if person not in barred]
    return [vote for vote in votes if any(vote.fits(row) for row in rows)]


@dataclass
class Release:
    """One release and its round of review.

    Attributes:
        barred: who wrote this content, fixed when it is submitted.
        yes: the approvals of this round that nobody has taken back.
        objections: how many are unanswered.
        moves: every state it came to, in order.
        starter: who started it; for E the same as having written it.
    """

    author: str
    services: list[Service]
    facts: set[str]
    chosen: str
    contributors: set[str] = field(default_factory=set)
    moves: list[str] = field(default_factory=lambda: ["draft"])
    rows: list[Row] = field(default_factory=list)
    barred: set[str] = field(default_factory=set)
    yes: dict[str, Yes] = field(default_factory=dict)
    objections: int = 0
    starter: str = ""

    @property
    def state(self) -> str:
        """Where it stands."""
        return self.moves[-1]

    @property
    def proposed(self) -> str:
        """The grade that the facts demand."""
        return lowest_grade(self.services, self.facts)

    @property
    def is_emergency(self) -> bool:
        """Whether it goes first and is reviewed afterwards."""
        return self.chosen == "E"

    @property
    def away(self) -> set[str]:
        """Who doesn't count: for grade E also who started it."""
        return self.barred | ({self.starter} if self.is_emergency else set())

    def submit(self, company: Company) -> str:
        """Copy the rows; refused when nobody could meet them, unless it is an emergency."""
        if self.state not in ("draft", "sent_back"):
            return self._over()
        barred = {self.author, *self.contributors}
        rows = self.asks(company)
        if not self.is_emergency and not can_be_met(rows, everybody_says_yes(rows, company, barred)):
            return "unfulfillable"
        self.rows, self.barred, self.yes = rows, barred, {}
        self.moves.append("submitted" if self.is_emergency else "in_review")
        return ""

    def asks(self, company: Company) -> list[Row]:
        """Who would be asked now."""
        barred = {self.author, *self.contributors}
        # A lowered grade keeps the review rows of the proposed one; a raised one brings its own.
        grade = max(self.chosen, self.proposed)
        first = rows_of(grade, self.services, self.facts, company, author=self.author)
        return list(dict.fromkeys(climbed(row, self.services, company, barred) for row in first))

    def edit(self, person: str) -> str:
        """Another content: whatever was decided is void."""
        if self.state not in EDITABLE:
            return self._over()
        self.contributors.add(person)
        if self.state not in ("draft", "sent_back"):
            self.moves.append("draft")
            self.yes = {}
        return ""

    def approve(self, person: str, company: Company, *, giver: str = "", stale: bool = False) -> str:
        """A yes, or why not, in the order of rules.md."""
        states = ("review_owed",) if self.is_emergency else ("in_review",)
        found = self._mandate(person, company, states=states, giver=giver, stale=stale)
        if isinstance(found, str):
            return found
        then = frozenset(company.held[person].items())
        self.yes[person] = Yes(person, found.capacities, found.giver, found.by, then)
        self.follow(company)
        return ""

    def refuse(
        self, person: str, verdict: str, company: Company, *, giver: str = "", stale: bool = False
    ) -> str:
        """Send back or reject."""
        states = () if self.is_emergency else OPEN_STATES
        found = self._mandate(person, company, states=states, giver=giver, stale=stale)
        if isinstance(found, str):
            return found
        self.moves.append({"send_back": "sent_back", "reject": "rejected"}[verdict])
        self.yes = {}
        return ""

    def take_back(self, person: str, company: Company) -> str:
        """A yes of one's own, before the rollout has acted."""
        if person not in self.yes or self.state not in (*OPEN_STATES, "rolling_out"):
            return "refused"
        del self.yes[person]
        self.follow(company)
        return ""

    def start(self, person: str) -> None:
        """It rolls out; whether it may is asked before (`may_start`)."""
        self.starter = person
        self.moves.append("rolling_out")

    def verified(self) -> None:
        """The rollout of an emergency ended well: now its review is owed."""
        self.moves += ["verifying", "review_owed"]

    def expire(self) -> None:
        """Its time is over."""
        self.moves.append("expired")
        self.yes = {}

    def follow(self, company: Company) -> None:
        """In review or approved, as the rows say now; an emergency is closed by its review alone."""
        met = self.is_met(company)
        if self.state in OPEN_STATES:
            state = "approved" if met else "in_review"
            self.moves += [state] if state != self.state else []
        elif self.state == "review_owed" and met:
            self.moves.append("closed")

    def is_met(self, company: Company) -> bool:
        """Whether enough entitled people, none of whom wrote it, have said yes and could still."""
        counting = [
            Yes(vote.person, self._still(vote, company), vote.giver)
            for vote in self.yes.values()
            if not {vote.person, vote.name} & self.away
        ]
        return can_be_met(self.rows, counting)

    def may_start(self, company: Company) -> bool:
        """Whether nothing is in the way of a start."""
        if self.is_emergency:
            return self.state == "submitted"
        return self.state == "approved" and not set(self.missing(company))

    def missing(self, company: Company) -> Iterator[str]:
        """What a start lacks beside its state."""
        if not self.is_emergency and not self.is_met(company):
            yield "requirement"
        if self.chosen == "D" and self.objections:
            yield "objection"

    def _still(self, vote: Yes, company: Company) -> frozenset[Capacity]:
        """In what a vote still counts; for somebody, only by what is not revoked and while both are there."""
        if not vote.giver:
            return vote.capacities & company.holds(vote.person)
        has_moved = vote.then and not vote.then & set(company.held[vote.person].items())
        if has_moved or vote.person in company.closed:
            return frozenset()
        given = {each.capacity for each in vote.by if not each.is_revoked}
        return vote.capacities & given & company.holds(vote.giver)

    def _mandate(
        self, person: str, company: Company, *, states: Collection[str], giver: str, stale: bool
    ) -> Mandate | str:
        """The name in which the person decides, or the refusal."""
        if self.state not in states:
            return self._over()
        if stale:
            return "stale_digest"
        if person in self.away:
            return "self_approval"
        found = self._mandates(person, company)
        own = [each for each in found if not each.giver]
        fitting = [each for each in found if each.giver == giver] if giver else own or found
        if not fitting:
            return "not_entitled"
        allowed = [each for each in fitting if each.giver not in self.away]
        if not allowed:
            return "self_approval"
        left = [each for each in allowed if self._is_left(each, person, company)]
        if person in self.yes or not left:
            return "already_decided"
        return left[0] if len(left) == 1 else "invalid"

    def _mandates(self, person: str, company: Company) -> list[Mandate]:
        """The person's own name and those of everybody who gave them what a row asks for."""
        found = [Mandate("", self._asked(company.holds(person)))]
        for giver in company.held:
            by = tuple(
                each
                for each in company.delegations
                if (each.giver, each.taker) == (giver, person) and each.is_in_force
                if not (each.is_later and giver in self.barred)
                if self._asked({each.capacity})
            )
            found.append(Mandate(giver, frozenset(each.capacity for each in by), by))
        return [each for each in found if each.capacities]

    def _asked(self, held: Collection[Capacity]) -> frozenset[Capacity]:
        return frozenset(each for each in held if any(row.is_for(each) for row in self.rows))

    def _is_left(self, mandate: Mandate, person: str, company: Company) -> bool:
        """Whether nobody else has decided on some row of the mandate in the same name."""
        name = mandate.giver or person
        used = [
            Yes(vote.person, self._still(vote, company))
            for vote in self.yes.values()
            if vote.name == name and vote.person != person
        ]
        return any(
            any(row.is_for(each) for each in mandate.capacities) and not any(vote.fits(row) for vote in used)
            for row in self.rows
        )

    def _over(self) -> str:
        return "expired" if self.state == "expired" else "wrong_state"
