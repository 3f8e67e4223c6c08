"""Who could approve what: for every service, grade and possible author, is there anybody for each row?

Pure. The rows are those of approvals.policy, so the answer is the one that a submission gets. Only the kinds
of people around a service matter, not who they are: services with the same people around them are looked at
once, and so are authors who hold the same.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from approvals.matching import Capacity
from approvals.policy import LADDER, Part, People, missing, requirements
from approvals.policy_table import CONDITIONS, GradePolicy

# What somebody holds around a service: the role and the kind of scope.
Held = frozenset[Capacity]
Shape = frozenset[tuple[Held, int]]
# Every fact is true here: what asks the most people can be met only if all else can.
ANY = Part(service="", team="", cluster_group="", facts=CONDITIONS)


@dataclass(frozen=True, kw_only=True)
class Concern:
    """A service where it goes, and the people who may compose a release of it."""

    service: str
    team: str
    cluster_group: str
    authors: frozenset[int] = frozenset()

    @property
    def scopes(self) -> dict[str, str]:
        """The scopes around the service, with what each is called for any service."""
        own = Part(service=self.service, team=self.team, cluster_group=self.cluster_group)
        return {own.scope(word): ANY.scope(word) for word in ("service", "team", "cluster_group", "*")}


@dataclass(frozen=True, kw_only=True, order=True)
class Gap:
    """A row that nobody could meet; without an author, whoever that would be."""

    service: str
    cluster_group: str
    grade: str
    author: int | None
    phase: str
    role: str
    scope: str


@dataclass(frozen=True)
class _Missing:
    phase: str
    role: str
    scope: str


# What is missing for each grade, by what the author holds around the service (None: nothing).
_Answers = dict[tuple[str, Held | None], tuple[_Missing, ...]]


def find_gaps(
    grades: Mapping[str, GradePolicy],
    concerns: Sequence[Concern],
    holders: Mapping[Capacity, frozenset[int]],
) -> list[Gap]:
    """Return every row that nobody could meet, first those that are so whoever the author is.

    Args:
        holders: active people by (role, scope).
    """
    by_scope = _by_scope(holders, roles_asked(grades))
    known: dict[Shape, _Answers] = {}
    found: list[Gap] = []
    for concern in concerns:
        held = _held(concern, by_scope)
        shape = frozenset(Counter(held.values()).items())
        if shape not in known:
            known[shape] = _answers(grades, shape)
        found += _gaps(concern, held, grades, known[shape])
    return sorted(found, key=lambda gap: (gap.author is not None, gap.service, gap.grade, gap.author or 0))


def roles_asked(grades: Mapping[str, GradePolicy]) -> frozenset[str]:
    """Every role that a row names, or that stands above one on the ladder."""
    rules = [rule for grade in grades.values() for rows in grade.rows().values() for rule in rows]
    asked = {role for rule in rules for role in (rule.role, *rule.alternatives)}
    for role in [*asked]:
        while above := LADDER.get(role):
            asked.add(above)
            role = above  # noqa: PLW2901  climbs
    return frozenset(asked)


def _by_scope(
    holders: Mapping[Capacity, frozenset[int]], roles: frozenset[str]
) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for (role, scope), persons in holders.items():
        if role in roles:
            found.setdefault(scope, []).extend((role, person) for person in persons)
    return found


def _held(concern: Concern, by_scope: Mapping[str, Iterable[tuple[str, int]]]) -> dict[int, Held]:
    """What each person holds around the service, in the words that are the same for every service."""
    held: dict[int, set[Capacity]] = {}
    for scope, word in concern.scopes.items():
        for role, person in by_scope.get(scope, ()):
            held.setdefault(person, set()).add((role, word))
    return {person: frozenset(capacities) for person, capacities in held.items()}


def _answers(grades: Mapping[str, GradePolicy], shape: Shape) -> _Answers:
    """Ask the policy once for every kind of author."""
    kinds = [held for held, count in sorted(shape, key=_in_order) for _ in range(count)]
    holders: dict[Capacity, set[int]] = {}
    for person, held in enumerate(kinds):
        for capacity in held:
            holders.setdefault(capacity, set()).add(person)
    fixed = {capacity: frozenset(persons) for capacity, persons in holders.items()}
    answers: _Answers = {}
    for kind in (None, *(held for held, _count in shape)):
        author = None if kind is None else kinds.index(kind)
        barred = frozenset() if author is None else frozenset({author})
        people = People(holders=fixed, author=author, barred=barred)
        for letter, rules in grades.items():
            lacking = missing(requirements(rules, [ANY], people))
            answers[letter, kind] = tuple(_Missing(row.phase, row.role, row.scope) for row in lacking)
    return answers


def _in_order(entry: tuple[Held, int]) -> list[Capacity]:
    return sorted(entry[0])


def _gaps(concern: Concern, held: Mapping[int, Held], grades: Iterable[str], answers: _Answers) -> list[Gap]:
    """What is missing for everybody is said once, and for an author only what is missing besides."""
    own = {word: scope for scope, word in concern.scopes.items()}
    found = []
    for author in (None, *sorted(concern.authors & held.keys())):
        kind = None if author is None else held[author]
        for grade in grades:
            general = () if author is None else answers[grade, None]
            found += [
                Gap(
                    service=concern.service,
                    cluster_group=concern.cluster_group,
                    grade=grade,
                    author=author,
                    phase=row.phase,
                    role=row.role,
                    scope=own[row.scope],
                )
                for row in answers[grade, kind]
                if row not in general
            ]
    return found
