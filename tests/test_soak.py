"""What tries more when soaking is among what `make soak` runs."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
SIZED = re.compile(r"soaking=|\bif SOAKING\b|^@many\b", re.MULTILINE)
CHOSEN = re.compile(
    r"@(pytest\.mark\.)?(repeated|soak)\b|^pytestmark = .*\brepeated\b|marks=soak\b", re.MULTILINE
)


def test_no_test_has_a_size_for_soaking_that_is_never_tried() -> None:
    files = (path for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    forgotten = [
        path.name for path in files if SIZED.search(text := path.read_text()) and not CHOSEN.search(text)
    ]
    assert forgotten == []
