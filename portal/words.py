"""Looks at words that people write beside an act: what a terminal or a log would obey is refused."""

import unicodedata

from django.utils.translation import gettext_lazy as _

from portal.errors import Invalid, field_error

LONGEST_REASON = 4000  # characters
LINES = "\n\r\t"


def check_words(text: str, *, field: str = "reason", most: int = LONGEST_REASON) -> None:
    """Let a text with line breaks pass.

    Args:
        field: what to call it when it is wrong.
        most: how many characters are allowed.

    Raises:
        Invalid: it is longer, or holds control characters or half a character.
    """
    if len(text) > most:
        raise Invalid(missing=[field_error(field, _("At most {most} characters.").format(most=most))])
    if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in LINES for char in text):
        raise Invalid(missing=[field_error(field, _("Control characters are not allowed here."))])
