"""Named places where a test lets a worker die or fall asleep, to prove that nothing is lost there.

They do nothing unless PORTAL_TEST_STOP_POINTS is "on" in the environment: no operator ever sets it.
"""

import os
import signal


def reach(name: str, *, kind: str = "") -> None:
    """Kill this process when PORTAL_STOP_AT names this place, as "NAME" or "NAME:STEP_KIND".

    With "sleep_" before the name it is stopped instead, until somebody wakes it.
    """
    if os.environ.get("PORTAL_TEST_STOP_POINTS") != "on":
        return
    wanted = os.environ.get("PORTAL_STOP_AT", "")
    if wanted.removeprefix("sleep_") not in {name, f"{name}:{kind}"}:
        return
    os.kill(os.getpid(), signal.SIGSTOP if wanted.startswith("sleep_") else signal.SIGKILL)
