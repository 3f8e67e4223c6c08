"""Sentences about requirements and what is missing, in the reader's language, for pages and programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from approvals.models import Requirement
from approvals.policy import RequiredRow
from portal.errors import Missing
from portal.people.models import Role, Team


def bare(scope: str) -> str:
    """A scope without its kind: "commerce" for "team:commerce"."""
    return scope.partition(":")[2] or scope


def team_titles() -> dict[str, str]:
    """What the teams are called, by key."""
    return dict(Team.objects.values_list("key", "title"))


def place(scope: str, titles: Mapping[str, str]) -> str:
    """A scope as people call it: a team by its title, anything else by its name."""
    kind, _colon, name = scope.partition(":")
    return titles.get(name, name) if kind == "team" else bare(scope)


def role_name(role: str) -> str:
    """The role in the reader's language."""
    return str(Role(role).label) if role in Role.values else role


def why(word: str) -> str:
    """Why a row climbed."""
    sentences = {
        "author": _("the author holds this role"),
        "barred": _("everybody who holds this role worked on the release"),
        "vacant": _("nobody holds this role"),
    }
    return sentences.get(word, word)


def climb_sentences(climbed: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each step of the ladder that a row left behind."""
    return [
        _("Went past {role} of {scope}: {why}.").format(
            role=role_name(step["role"]), scope=bare(step["scope"]), why=why(step["why"])
        )
        for step in climbed
    ]


def row_sentence(role: str, scope: str, count: int) -> str:
    """What a row asks for."""
    return _("{count} × {role} of {scope}").format(count=count, role=role_name(role), scope=bare(scope))


def missing_row(row: RequiredRow | Requirement) -> Missing:
    """A row that is not met, as doors list it."""
    return {
        "code": "requirement",
        "role": row.role,
        "scope": bare(row.scope),
        "text": row_sentence(row.role, row.scope, row.count),
    }
