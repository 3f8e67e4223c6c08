"""Named places where a test lets a worker die, to prove that nothing is lost there.

They do nothing unless PORTAL_TEST_STOP_POINTS is "on" in the environment: no operator ever sets it.
"""

import os
import signal


def reach(name: str, *, kind: str = "") -> None:
    """Kill this process when PORTAL_STOP_AT names this place, as "NAME" or "NAME:STEP_KIND"."""
    if os.environ.get("PORTAL_TEST_STOP_POINTS") != "on":
        return
    if os.environ.get("PORTAL_STOP_AT") in {name, f"{name}:{kind}"}:
        os.kill(os.getpid(), signal.SIGKILL)
