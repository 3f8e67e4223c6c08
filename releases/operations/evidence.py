"""Files given as evidence: known by their first bytes, taken by an allow-list, kept under their digest."""

import base64
import binascii
import codecs
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.utils.translation import gettext_lazy as _

from releases.operations.fields import Faults

LARGEST_BYTES = 5_000_000
LONGEST_NAME = 150
# Nothing here is run by a browser: no HTML, no SVG, no XML (attacks.md, 1b and 1f).
ENDINGS = {
    "image/png": ("png",),
    "image/jpeg": ("jpg", "jpeg"),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
    "application/pdf": ("pdf",),
    "text/plain": ("txt", "log", "csv", "tsv", "json", "md"),
}
BEGINNINGS = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF87a"),
    ("image/gif", b"GIF89a"),
    ("application/pdf", b"%PDF-"),
)
# What no text holds; logs come with colours, so that escape may stand.
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
HANGUL = re.compile("[가-힣]")
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, kw_only=True)
class GivenFile:
    """A file as somebody sent it."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, under which it is kept."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


def read_file(value: object, faults: Faults) -> GivenFile | None:
    """Return a file that may be kept, or None; what is wrong with it is noted.

    Args:
        value: a GivenFile, or {"name", "content"} with base64 as JSON carries it; None for no file.
    """
    if value is None:
        return None
    given = value if isinstance(value, GivenFile) else _decoded(value, faults)
    if given is None:
        return None
    name = _clean_name(given.name, faults)
    if not given.content:
        faults.add("evidence.file", _("The file is empty."))
    elif len(given.content) > LARGEST_BYTES:
        faults.add("evidence.file", _("At most {most} MB.").format(most=LARGEST_BYTES // 1_000_000))
    else:
        _check_type(name, given.content, faults)
    return GivenFile(name=name, content=given.content)


def media_type_of(content: bytes) -> str:
    """What a file is by its first bytes; "" for what is not taken."""
    for media_type, beginning in BEGINNINGS:
        if content.startswith(beginning):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return "text/plain" if charset_of(content) else ""


def charset_of(content: bytes) -> str:
    """The encoding in which the bytes are plain text, as browsers call it; "" where they are none.

    Spreadsheets on Korean Windows write CP949, editors there UTF-16 with its mark. Bytes that are UTF-8 are
    nothing else; others are CP949 only with Hangul in them, as much else decodes by chance.
    """
    if content.startswith(UTF_16_MARKS):
        return "utf-16" if _is_plain(_decode(content, "utf-16")) else ""
    text = _decode(content, "utf-8-sig")
    if text is not None:
        return "utf-8" if _is_plain(text) else ""
    text = _decode(content, "cp949")
    return "euc-kr" if _is_plain(text) and HANGUL.search(text or "") else ""


def _decoded(value: object, faults: Faults) -> GivenFile | None:
    if not isinstance(value, Mapping):
        faults.add("evidence.file", _("An object with name and content is expected."))
        return None
    faults.unknown("evidence.file.", value, ("name", "content"))
    name = faults.text("evidence.file.name", value.get("name"), most=LONGEST_NAME, required=True)
    try:
        content = base64.b64decode(str(value.get("content") or ""), validate=True)
    except (binascii.Error, ValueError):
        faults.add("evidence.file.content", _("The content is expected in base64."))
        return None
    return GivenFile(name=name, content=content)


def _clean_name(name: str, faults: Faults) -> str:
    """The last part of a path; without characters that are not seen or turn the direction of reading."""
    last = unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).name)
    if any(unicodedata.category(char).startswith("C") for char in last):
        faults.add("evidence.file", _("The file's name holds characters that cannot be seen."))
    elif len(last) > LONGEST_NAME:
        faults.add("evidence.file", _("The file's name is too long."))
    return last


def _check_type(name: str, content: bytes, faults: Faults) -> None:
    """Refuse what is not on the list, and a name that says something else than the bytes."""
    media_type = media_type_of(content)
    if not media_type:
        faults.add(
            "evidence.file", _("PNG, JPEG, GIF, WebP, PDF and plain text (UTF-8, UTF-16, CP949) are taken.")
        )
    elif PurePosixPath(name).suffix.lower().removeprefix(".") not in ENDINGS[media_type]:
        endings = ", ".join(f".{ending}" for ending in ENDINGS[media_type])
        text = _("By its content the file is {type}; its name should end with one of {endings}.")
        faults.add("evidence.file", text.format(type=media_type, endings=endings))


def _decode(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_plain(text: str | None) -> bool:
    return text is not None and not CONTROLS.search(text) and not text.lstrip().startswith("<")
