"""Starts one program so that it ends with the process that asked for it.

Run as a script: `python launch.py --parent PID --signal N [--user NAME] -- program ...`. Stands alone.
"""

import argparse
import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Become the user, ask the kernel for a signal at the parent's death, become the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    if options.user:
        _become(options.user)
    # The kernel forgets the wish when the user changes, so this comes after.
    _die_with(options.parent, signal_number=options.signal)
    os.execv(options.program[0], options.program)  # noqa: S606  the program is ours, without a shell


def _become(user: str) -> None:
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _die_with(parent: int, *, signal_number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it died before the wish was heard
        sys.exit(1)


if __name__ == "__main__":
    main()
