"""Which decision serves which requirement (rules.md, "Who counts").

A person may fill every row of one role that they are entitled to, never rows of two roles. Choosing the
role for each person so that most places are filled is solved exactly: the places still free after the first
people are all that the choice of the others depends on.

A mandate counts once: of those who decide in one name, by themselves or by a delegate, the first to decide
has the rows that this name is entitled to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
_Known = dict[Capacity, list[tuple[int, Row]]]
_Choice = dict[str, list[Row]]


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
    people = list({vote.person: vote for vote in reversed(votes)}.values())[::-1]
    choices = _choices(_by_capacity(rows), people)
    filled: dict[int, list[int]] = {row.key: [] for row in rows}
    for vote, choice, role in zip(people, choices, _best_roles(rows, choices), strict=True):
        for row in choice.get(role, ()):
            if len(filled[row.key]) < row.count:
                filled[row.key].append(vote.person)
    return {key: tuple(persons) for key, persons in filled.items()}


def unmet(rows: Iterable[Row], matched: Matched) -> list[Row]:
    """Rows with places still free."""
    return [row for row in rows if len(matched.get(row.key, ())) < row.count]


def could_fill(row: Row, capacities: Iterable[Capacity]) -> bool:
    """Whether somebody with these capacities is entitled to the row."""
    return not row.accepted.isdisjoint(capacities)


def _by_capacity(rows: Iterable[Row]) -> _Known:
    """The rows that each capacity opens, in their order: few of many, for each of many people."""
    known: _Known = {}
    for place, row in enumerate(rows):
        for capacity in row.accepted:
            known.setdefault(capacity, []).append((place, row))
    return known


def _entitled(known: _Known, vote: Vote) -> list[Row]:
    found = [each for capacity in vote.capacities if capacity in known for each in known[capacity]]
    if len(found) < 2:
        return [row for _place, row in found]
    by_place = dict(found)
    return [by_place[place] for place in sorted(by_place)]


def _choices(known: _Known, votes: Iterable[Vote]) -> list[_Choice]:
    """By role, the rows that each vote would fill; what an earlier one in the same name took is closed."""
    taken: dict[int, set[int]] = {}
    answer = []
    for vote in votes:
        before = taken.setdefault(vote.name, set())
        choice: _Choice = {}
        for row in _entitled(known, vote):
            if row.key not in vote.closed and row.key not in before:
                choice.setdefault(row.role, []).append(row)
                before.add(row.key)
        answer.append(choice)
    return answer


def _best_roles(rows: Sequence[Row], choices: Sequence[_Choice]) -> list[str]:
    """The role of each person, "" for who can fill nothing.

    Who has one role to serve in serves in it; only what is left then is tried out, among the others.
    """
    free = {row.key: row.count for row in rows}
    for choice in choices:
        if len(choice) == 1:
            (served,) = choice.values()
            for row in served:
                free[row.key] = max(0, free[row.key] - 1)
    roles = [next(iter(choice), "") for choice in choices]
    for group in _groups(choices):
        for index, role in zip(group, _try_out([choices[each] for each in group], free), strict=True):
            roles[index] = role
    return roles


def _groups(choices: Sequence[_Choice]) -> list[list[int]]:
    """Those with a choice, by index, in groups that share no row: such as one for each team."""
    groups: list[tuple[set[int], list[int]]] = []
    for index, choice in enumerate(choices):
        if len(choice) < 2:
            continue
        keys = {row.key for served in choice.values() for row in served}
        touching = [group for group in groups if group[0] & keys]
        groups = [group for group in groups if not group[0] & keys]
        members = sorted([index, *(each for _keys, group in touching for each in group)])
        groups.append((keys.union(*(found for found, _group in touching)), members))
    return [members for _keys, members in groups]


def _try_out(choices: Sequence[_Choice], free: dict[int, int]) -> tuple[str, ...]:
    keys = sorted({row.key for choice in choices for served in choice.values() for row in served})
    served_by = [
        {role: frozenset(row.key for row in served) for role, served in choice.items()} for choice in choices
    ]

    @cache
    def best(index: int, left: tuple[int, ...]) -> _Best:
        if index == len(choices):
            return _Best(0, 0, ())
        answer: _Best | None = None
        for role, served in served_by[index].items():
            after = tuple(n - (1 if n and key in served else 0) for n, key in zip(left, keys, strict=True))
            rest = best(index + 1, after)
            whole = sum(1 for n, m in zip(left, after, strict=True) if n and not m)
            found = _Best(sum(left) - sum(after) + rest.filled, whole + rest.met, (role, *rest.roles))
            if answer is None or found.worth > answer.worth:
                answer = found
        assert answer is not None
        return answer

    return best(0, tuple(free[key] for key in keys)).roles
