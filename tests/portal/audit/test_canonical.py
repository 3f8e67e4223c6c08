"""An entry's text is the RFC 8785 form of what it says, whichever encoder writes it."""

from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from portal.audit.canonical import canonical
from tests.soak import long

LARGEST = 2**53 - 1
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.from_regex(r"[0-9a-f:.,\[-]{16,24}", fullmatch=True)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@long
@given(st.dictionaries(st.text(), values, max_size=5))
@example({"n": -1234567890123456})
@example({"n": [1e16, -0.0, 1e-7, 5]})
@example({"\ufb33": 1, "\U0001f600": 2, "\x7f\x1f\n": "\u2028</script>"})
def test_the_text_is_what_the_library_writes(said: dict[str, Any]) -> None:
    assert canonical(said) == rfc8785.dumps(said).decode()


@pytest.mark.parametrize(
    "wrong", [float("nan"), float("inf"), 2**53, "\ud800", [10**20], {"deep": [float("-inf")]}]
)
def test_what_has_no_such_form_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the library's and the interpreter's words differ
        canonical({"value": wrong})
