"""Takes secrets out of what programs wrote, before anybody reads it. Pure.

Nothing here knows a secret: the portal reads none. What looks like one is taken out, in doubt too much.
"""

import re
from collections.abc import Iterable
from typing import Any

MASK = "•••"
LONGEST_LINE = 4_000
# Of a message, and of a value of several lines, no more is read: who writes it decides how long that takes.
LONGEST_MESSAGE, LONGEST_TEXT = 16_000, 64_000
# A word that names a secret, whatever it is part of: DB_PASSWORD, "accessToken", X-Api-Key.
NAMES = (
    "passw(?:or)?d|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|signing[-_]?key"
    "|encryption[-_]?key|credential|authorization|cookie|session[-_]?id"
)
QUOTED = r"""\\"(?:(?!\\").)*(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
NAMED = re.compile(
    rf"""((?:{NAMES})[\w.-]{{0,64}}\\?["']?\s{{0,8}}(?:=>|[:=])\s{{0,8}})"""
    rf"""((?:bearer|basic|digest|token|negotiate)\s+)?({QUOTED}|[^\s,;&)}}\]]+)""",
    re.IGNORECASE,
)
OF_A_SECRET = re.compile(rf"{NAMES}|last-applied-configuration", re.IGNORECASE)
# What names a secret and holds none.
NAMES_ONLY = frozenset({"secretName"})
# The last name of a path: of a named thing's value its name.
NAME_IN_PATH = re.compile(r"(?:\[([^\[\]]*)\](?:\.value)?|([^.\[\]]+))$")
# A scheme before a credential, wherever it stands.
BEARER = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
URL = re.compile(r"""(://)(?:[^\s/@"':]{0,200}:[^\s"']{0,1000}|[^\s/@"']{0,1000})@""")
JWT = re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?")
# What is known by how it begins.
KNOWN = re.compile(
    r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[abeprs]-[\w-]{8,}|A[KS]IA[0-9A-Z]{12,}"
    r"|sk[-_](?:live[-_]|test[-_])?\w{16,}|AIza[\w-]{20,})"
)
PEM_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]*-----")
PEM_ENDS = re.compile(r"-----END [A-Z0-9 ]*-----")
PEM_WITHIN = re.compile(r"\s*[A-Za-z0-9+/=]{8,}\s*|\s*[A-Za-z-]+: .*|\s*")
# Colours and other orders to a terminal, then every character that is no text.
ORDERS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
NO_TEXT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def masked_lines(lines: Iterable[str]) -> list[str]:
    """Return the lines as people may read them: plain text, cut to a length, secrets taken out.

    Of a PEM block one line is left, also where its beginning or its end is not among the lines.
    """
    return [masked(line) for line in _without_pem([_plain(line) for line in lines])]


def masked(text: str) -> str:
    """Return one line, or a message, without what looks like a secret; a PEM block in it goes as a whole."""
    text = _without_pem_inside(_cut(text, LONGEST_MESSAGE))
    text = NAMED.sub(rf"\1\2{MASK}", text)
    text = BEARER.sub(rf"\1\2{MASK}", text)
    text = URL.sub(rf"\1{MASK}@", text)
    return KNOWN.sub(MASK, JWT.sub(MASK, text))


def masked_within(found: Any, *, named: str = "") -> Any:
    """Return part of an object of Kubernetes as people may read it: values of what is named as a secret go.

    Args:
        named: under which name it stands there.
    """
    if isinstance(found, dict):
        own = str(found.get("name") or "")
        return {
            key: masked_within(each, named=own if key == "value" and own else str(key))
            for key, each in found.items()
        }
    if isinstance(found, list):
        return [masked_within(each, named=named) for each in found]
    if not isinstance(found, str):
        return found
    if found and named not in NAMES_ONLY and OF_A_SECRET.search(named):
        return MASK
    return "\n".join(masked_lines(_cut(found, LONGEST_TEXT).split("\n")))


def masked_change(field: str, before: Any, after: Any) -> tuple[Any, Any]:
    """Return both sides of a change as people may read them; what differs still does.

    Args:
        field: such as `spec.template.spec.containers[web].env[DB_PASSWORD].value`.
    """
    found = NAME_IN_PATH.search(field)
    name = next(filter(None, found.groups()), "") if found else ""
    was, becomes = (masked_within(each, named=name) for each in (before, after))
    if was == becomes and before != after:
        becomes = f"{becomes} {MASK}"
    return was, becomes


def _plain(line: str) -> str:
    line = NO_TEXT.sub("\ufffd", ORDERS.sub("", line))
    return _cut(line, LONGEST_LINE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _without_pem(lines: list[str]) -> list[str]:
    shown: list[str] = []
    inside = False
    for line in lines:
        begins, ends = PEM_BEGINS.search(line), PEM_ENDS.search(line)
        if inside:
            inside = ends is None
        elif begins and not PEM_ENDS.search(line, begins.end()):
            shown.append(f"{line[: begins.start()]}{MASK}")
            inside = True
        elif ends and not begins:
            while shown and PEM_WITHIN.fullmatch(shown[-1]):
                shown.pop()
            shown.append(MASK)
        else:
            shown.append(line)
    return shown


def _without_pem_inside(text: str) -> str:
    """In one line a block stands with its breaks written out."""
    while (begins := PEM_BEGINS.search(text)) is not None:
        ends = PEM_ENDS.search(text, begins.end())
        text = text[: begins.start()] + MASK + (text[ends.end() :] if ends else "")
    return text
