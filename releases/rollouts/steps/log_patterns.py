"""Whether lines of a log hold a pattern: plain text in which `*` stands for anything. Pure.

There is nothing here that could go back: a pattern's parts are looked for one after the other, each from
where the last one ended, so that a line is read once per part. An expression written by people could be made
to take hours on a line that a program writes.
"""

from collections.abc import Iterable, Sequence

ANYTHING = "*"


def matches(pattern: str, line: str) -> bool:
    """Whether the pattern is somewhere in the line: a part at its leftmost place leaves most for the rest."""
    begins = 0
    for part in pattern.split(ANYTHING):
        found = line.find(part, begins)
        if found < 0:
            return False
        begins = found + len(part)
    return True


def found_in(patterns: Iterable[str], lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the patterns that are in any of the lines, each with the lines that hold it."""
    held = ((pattern, [line for line in lines if matches(pattern, line)]) for pattern in patterns)
    return [(pattern, found) for pattern, found in held if found]
