"""What the parts say, line by line, each line led by the part's name."""

import subprocess
import sys
import threading

NAME_WIDTH = 10
LINE_BYTES = 64 * 1024
_turn = threading.Lock()


def say(name: str, text: str) -> None:
    """Print a line in the name of a part."""
    _write(name, text.encode())


def relay(name: str, process: subprocess.Popen[bytes]) -> threading.Thread:
    """Print what the process says until it ends."""
    thread = threading.Thread(target=_copy, args=(name, process), name=f"output of {name}", daemon=True)
    thread.start()
    return thread


def _copy(name: str, process: subprocess.Popen[bytes]) -> None:
    if process.stdout is None:
        return
    with process.stdout as stream:
        while line := stream.readline(LINE_BYTES):
            _write(name, line.rstrip(b"\r\n"))


def _write(name: str, line: bytes) -> None:
    with _turn:
        try:
            sys.stdout.buffer.write(f"{name:<{NAME_WIDTH}} | ".encode() + line + b"\n")
            sys.stdout.buffer.flush()
        except (OSError, ValueError):
            return  # nobody reads any more; the part must not block on a full pipe because of that
