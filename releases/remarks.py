"""What the layer above has to say about a release on its page: a pin, a place in the queue."""

from collections.abc import Callable
from dataclasses import dataclass

from portal.people.models import User
from releases.models import Release


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One sentence beside the life of a release.

    Attributes:
        url: where more of it stands; "" for nowhere.
        act: an address that the person may post to, named by `act_label`; "" for none.
    """

    shape: str
    text: str
    url: str = ""
    label: str = ""
    act: str = ""
    act_label: str = ""


Remarks = Callable[[Release, User], list[Remark]]
_SOURCES: list[Remarks] = []


def register(remarks: Remarks) -> None:
    """Let the layer above speak, in the reader's language."""
    _SOURCES.append(remarks)


def remarks_on(release: Release, user: User) -> list[Remark]:
    """Everything that is said about a release to a person."""
    return [remark for source in _SOURCES for remark in source(release, user)]
