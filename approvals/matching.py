"""Which decision serves which requirement (rules.md, "Who counts").

A person may fill every row of one role that they are entitled to, never rows of two roles. Choosing the
role for each person so that most places are filled is solved exactly: the places still free after the first
people are all that the choice of the others depends on.

A mandate counts once: of those who decide in one name, by themselves or by a delegate, the first to decide
has the rows that this name is entitled to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

Capacity = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A requirement: so many different people who hold one of the accepted (role, scope) pairs."""

    key: int
    role: str
    count: int
    accepted: frozenset[Capacity]


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's approval and the (role, scope) pairs in which it counts.

    Attributes:
        giver: in whose name it was given, where not in the person's own.
        closed: keys of rows that it can't fill, because somebody decided on them in the same name before.
    """

    person: int
    capacities: frozenset[Capacity]
    giver: int | None = None
    closed: frozenset[int] = frozenset()

    @property
    def name(self) -> int:
        """The person whose mandate it is."""
        return self.person if self.giver is None else self.giver


Matched = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class _Best:
    """The most places that can be filled, the rows met thereby, and the role of each person from here on."""

    filled: int
    met: int
    roles: tuple[str, ...]

    @property
    def worth(self) -> tuple[int, int]:
        return self.filled, self.met


def match(rows: Sequence[Row], votes: Sequence[Vote]) -> Matched:
    """Return for each row's key the people who fill it, at most `count` of them.

    The number of filled places is the greatest possible; among equals more whole rows, then the earlier
    choice, so that the same input always gives the same answer.

    Args:
        votes: in the order of deciding; a person counts once, whatever the number of their votes.
    """
    first = list({vote.person: vote for vote in reversed(votes)}.values())[::-1]
    people = _once_in_each_name(rows, first)
    roles = _best_roles(tuple(rows), tuple(people))
    filled: dict[int, list[int]] = {row.key: [] for row in rows}
    for vote, role in zip(people, roles, strict=True):
        for row in _served(rows, vote, role):
            if len(filled[row.key]) < row.count:
                filled[row.key].append(vote.person)
    return {key: tuple(persons) for key, persons in filled.items()}


def unmet(rows: Iterable[Row], matched: Matched) -> list[Row]:
    """Rows with places still free."""
    return [row for row in rows if len(matched.get(row.key, ())) < row.count]


def could_fill(row: Row, capacities: Iterable[Capacity]) -> bool:
    """Whether somebody with these capacities is entitled to the row."""
    return not row.accepted.isdisjoint(capacities)


def open_to(rows: Iterable[Row], vote: Vote) -> frozenset[int]:
    """Keys of the rows that the vote may fill."""
    return frozenset(row.key for row in rows if could_fill(row, vote.capacities)) - vote.closed


def _once_in_each_name(rows: Sequence[Row], votes: Iterable[Vote]) -> list[Vote]:
    """Close to later votes what an earlier one in the same name was entitled to."""
    taken: dict[int, frozenset[int]] = {}
    answer = []
    for vote in votes:
        before = taken.get(vote.name, frozenset())
        answer.append(replace(vote, closed=vote.closed | before))
        taken[vote.name] = before | open_to(rows, vote)
    return answer


def _served(rows: Iterable[Row], vote: Vote, role: str) -> list[Row]:
    return [row for row in rows if row.role == role and row.key in open_to([row], vote)]


def _best_roles(rows: tuple[Row, ...], people: tuple[Vote, ...]) -> tuple[str, ...]:
    options = [
        {row.role: frozenset(r.key for r in _served(rows, vote, row.role)) for row in rows} for vote in people
    ]

    @cache
    def best(index: int, free: tuple[int, ...]) -> _Best:
        if index == len(people):
            return _Best(0, 0, ())
        answer: _Best | None = None
        for role, served in _choices(options[index]):
            left = tuple(n - (1 if n and row.key in served else 0) for n, row in zip(free, rows, strict=True))
            rest = best(index + 1, left)
            whole = sum(1 for before, after in zip(free, left, strict=True) if before and not after)
            found = _Best(sum(free) - sum(left) + rest.filled, whole + rest.met, (role, *rest.roles))
            if answer is None or found.worth > answer.worth:
                answer = found
        assert answer is not None
        return answer

    return best(0, tuple(row.count for row in rows)).roles


def _choices(served_by_role: dict[str, frozenset[int]]) -> list[tuple[str, frozenset[int]]]:
    """The roles worth trying; "" for somebody who can fill nothing."""
    useful = [(role, served) for role, served in served_by_role.items() if served]
    return useful or [("", frozenset())]
