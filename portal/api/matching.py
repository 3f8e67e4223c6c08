"""`If-Match`: an edit names the content that its author saw."""

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from portal.api.problems import Refused
from portal.errors import Conflict

HEADER = "If-Match"


def expected_digest(request: HttpRequest) -> str:
    """The digest in the header, without its quotes (rules.md, "Content").

    Raises:
        Refused: the header is missing or is no single quoted value.
    """
    value = request.headers.get(HEADER, "").strip()
    if len(value) < 2 or not (value.startswith('"') and value.endswith('"')) or '"' in value[1:-1]:
        detail = _("Send the content digest you saw as If-Match, in double quotes.")
        raise Refused(428, "if_match_missing", _("Say what you saw"), detail)
    return value[1:-1]


def require_match(request: HttpRequest, current: str) -> None:
    """Refuse an edit of something else than what is there now.

    Raises:
        Refused: there is no header.
        Conflict: the content has changed since (`stale_digest`).
    """
    if expected_digest(request) != current:
        raise Conflict(
            _("It changed. See the difference, then decide."),
            code="stale_digest",
            title=_("The content changed"),
        )
