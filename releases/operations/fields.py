"""Reads the plain fields of a composed release; every fault is collected, so that all are told at once."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.errors import Missing, field_error

# Times at the ends of the calendar have no equal in other zones.
FIRST_YEAR, LAST_YEAR = 1970, 9000


@dataclass
class Faults:
    """What is wrong with the input so far."""

    found: list[Missing] = field(default_factory=list)

    def add(self, name: str, text: str | Promise) -> None:
        """Note one wrong field."""
        self.found.append(field_error(name, text))

    def unknown(self, prefix: str, data: Iterable[Any], known: Iterable[str]) -> None:
        """Note every key that is not known."""
        for key in set(data) - set(known):
            self.add(f"{prefix}{key}", _("Unknown field."))

    def text(
        self, name: str, value: object, *, most: int, required: bool = False, lines: bool = False
    ) -> str:
        """Return a trimmed text without control characters, "" when it is wrong or missing.

        Args:
            most: how many characters are allowed.
            lines: whether line breaks and tabs are allowed.
        """
        if value is None:
            value = ""
        if not isinstance(value, str):
            self.add(name, _("A text is expected."))
            return ""
        value = unicodedata.normalize("NFC", value.strip())
        allowed = "\n\r\t" if lines else ""
        if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in allowed for char in value):
            self.add(name, _("Control characters are not allowed here."))
        elif len(value) > most:
            self.add(name, _("At most {most} characters.").format(most=most))
        elif required and not value:
            self.add(name, _("This is needed."))
        else:
            return value
        return ""

    def link(self, name: str, value: object, *, required: bool = False) -> str | None:
        """Return an http or https address, or None."""
        text = self.text(name, value, most=500, required=required)
        if not text:
            return None
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() for c in text):
            self.add(name, _("An address that begins with http:// or https:// is expected."))
        return text

    def moment(self, name: str, value: object) -> datetime | None:
        """Return a time with zone, or None."""
        if value is None or value == "":
            return None
        found: object = value
        if isinstance(value, str):
            try:
                found = parse_datetime(value)
            except ValueError:
                found = None
        if isinstance(found, datetime) and found.tzinfo is not None:
            if FIRST_YEAR < found.year < LAST_YEAR:
                return found
            self.add(name, _("This time is too far away."))
            return None
        self.add(name, _("A time with zone is expected, such as 2026-11-21T14:00:00+09:00."))
        return None

    def flags(self, name: str, value: object, known: Iterable[str]) -> dict[str, bool]:
        """Return every known flag, false where it is not named."""
        flags = dict.fromkeys(known, False)
        if value is None:
            return flags
        if not isinstance(value, Mapping):
            self.add(name, _("An object of true and false is expected."))
            return flags
        self.unknown(f"{name}.", value, flags)
        for key in flags:
            flag = value.get(key, False)
            if not isinstance(flag, bool):
                self.add(f"{name}.{key}", _("True or false is expected."))
            flags[key] = flag is True
        return flags

    def rows(self, name: str, value: object, *, most: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the objects of a list, each with the name under which its faults are told."""
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.add(name, _("A list is expected."))
            return []
        if len(value) > most:
            self.add(name, _("At most {most} entries.").format(most=most))
            return []
        rows = []
        for number, row in enumerate(value):
            if isinstance(row, Mapping):
                rows.append((f"{name}.{number}", row))
            else:
                self.add(f"{name}.{number}", _("An object is expected."))
        return rows
