"""Who acts, and through which door: given to every operation, never read from a thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal.people.models import User


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person behind a door, or the portal itself with the cause of its act.

    Attributes:
        user: the person; None when the portal acts.
        door: browser, api, hook, slack, cli, worker or migration.
        token: the prefix of the access token used, if any.
        scopes: what the token is cut to; None means everything its owner may.
        address: the caller's network address.
        cause: why the portal acts by itself, such as "sweep" or "order 12".
        factor_at: when the person's session last saw their second factor, in seconds since 1970.
    """

    user: User | None = None
    door: str = "browser"
    token: str = ""
    scopes: frozenset[str] | None = None
    address: str = ""
    cause: str = ""
    factor_at: float | None = None

    @classmethod
    def portal(cls, cause: str, *, door: str = "worker") -> Actor:
        """The portal itself; the cause is part of the record."""
        return cls(cause=cause, door=door)

    @property
    def name(self) -> str:
        """The account's name, or "portal"."""
        return self.user.username if self.user else "portal"

    @property
    def called(self) -> str:
        """What people call the person; "" for the portal, which pages name in their own language."""
        return self.user.get_full_name() if self.user else ""

    def has_scope(self, scope: str) -> bool:
        """Whether the door lets this kind of act through (rules.md, "Tokens")."""
        return self.scopes is None or scope in self.scopes

    def through(self, door: str) -> Actor:
        """The same actor behind another door."""
        return replace(self, door=door)
