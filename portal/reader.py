"""Who looks at a page, and what is asked about them for many parts of it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from django.db import connection
from django.http import HttpRequest

Said = TypeVar("Said")
# Asked for every page: a statement of its own, as writing it anew takes longer than it does.
ROLES = """
SELECT held.role, held.scope FROM people_roleassignment AS held
JOIN people_user AS person ON person.id = held.user_id AND person.is_active
WHERE held.user_id = %s AND held.revoked_at IS NULL
"""


class Reader:
    """A person while one page is drawn for them.

    What was read is kept until the page is there. It is for showing alone: an act asks for rights anew.

    Attributes:
        user: a portal.people.models.User; the record, which lies below the people, asks about readers too.
    """

    def __init__(self, user: Any) -> None:
        self.user = user
        self._said: dict[Callable[[Reader], Any], Any] = {}

    @cached_property
    def roles(self) -> frozenset[tuple[str, str]]:
        """The (role, scope) pairs that the person holds; none when the account is closed."""
        with connection.cursor() as cursor:
            cursor.execute(ROLES, [self.user.pk])
            return frozenset(cursor.fetchall())

    def holds(self, *roles: str) -> bool:
        """Whether the person holds one of these roles somewhere."""
        return any(role in roles for role, _scope in self.roles)

    def once(self, ask: Callable[["Reader"], Said]) -> Said:
        """What the function says of the person, asked the first time only."""
        if ask not in self._said:
            self._said[ask] = ask(self)
        said: Said = self._said[ask]
        return said


def reader_of(request: HttpRequest) -> Reader | None:
    """Return the same reader for all parts of a page; None where nobody is signed in."""
    user = getattr(request, "user", None)
    if not hasattr(user, "assignments"):  # nobody, or nobody of ours
        return None
    found: Reader | None = getattr(request, "reader", None)
    if found is None or found.user != user:  # they signed in meanwhile
        found = Reader(user)
        request.reader = found  # type: ignore[attr-defined]
    return found
