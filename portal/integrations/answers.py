"""What others answer, read as it comes: bounded in size and time, and holding only what a row can keep."""

import json
import re
import time
from typing import Any

import urllib3

CHUNK_BYTES = 65_536
# No row keeps a NUL or half a character; whoever writes a pod's last message can put them there.
UNKEPT = re.compile("[\x00\ud800-\udfff]")
ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
INSTEAD = "\ufffd"


def read_body(answer: urllib3.BaseHTTPResponse, *, most: int, until: float) -> bytes:
    """Read an answer; of a longer one `most` bytes and one more, and then no further.

    Args:
        until: by the monotonic clock; whoever trickles is cut off then.

    Raises:
        urllib3.exceptions.TimeoutError: it had not ended by then.
        urllib3.exceptions.HTTPError: it was cut.
    """
    body, ended = bytearray(), False
    try:
        while not ended and len(body) <= most:
            if time.monotonic() > until:
                raise urllib3.exceptions.TimeoutError
            # What is there, and no waiting for more of it: a full read would not look at the clock.
            chunk = answer.read1(min(CHUNK_BYTES, most + 1 - len(body)), decode_content=False)
            body += chunk
            ended = not chunk
    finally:
        if not ended:
            answer.close()
    return bytes(body)


def read_json(text: bytes | str) -> Any:
    """Read JSON; what no row can keep is replaced.

    Raises:
        ValueError: it is none, or nested without end.
    """
    text = text if isinstance(text, str) else text.decode()
    try:
        found = json.loads(text)
        return storable(found) if ESCAPED.search(text) else found
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def storable(found: Any) -> Any:
    """Return the same with only such characters as a row can keep."""
    if isinstance(found, str):
        return UNKEPT.sub(INSTEAD, found)
    if isinstance(found, dict):
        return {storable(key): storable(value) for key, value in found.items()}
    return [storable(each) for each in found] if isinstance(found, list) else found
