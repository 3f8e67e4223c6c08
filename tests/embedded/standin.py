"""A supervisor with small parts, run as a process of its own: `python -m tests.embedded.standin FOLDER`."""

import sys
from pathlib import Path

from portal.embedded import runlock
from portal.embedded.child import Command
from portal.embedded.output import say
from portal.embedded.supervisor import Part, StopRequested, Supervisor

# Starts a child of its own, notes both numbers, says hello, and notes its clean end.
POLITE = """
import os, pathlib, signal, subprocess, sys, time
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def end(*_):
    with (folder / "ended").open("a") as file: file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
(folder / f"{name}.pids").write_text(f"{os.getpid()} {inner.pid}")
print("hello from", name, flush=True)
while True: time.sleep(0.05)
"""
# Hears no request to end.
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def part(folder: Path, name: str, *, stubborn: bool = False) -> Part:
    """Return a part that is ready when it has noted its number."""
    program = POLITE.replace("signal.signal(signal.SIGTERM, end)", STUBBORN) if stubborn else POLITE
    noted = folder / f"{name}.pids"
    command = Command((sys.executable, "-c", program, str(folder), name))
    return Part(
        name, name, command, noted.exists, prepare=lambda: noted.unlink(missing_ok=True), stop_seconds=0.5
    )


def main() -> int:
    """Run one early part and two later ones until a signal comes."""
    folder = Path(sys.argv[1])
    try:
        lock = runlock.take(folder / "lock")
    except runlock.AlreadyRunningError as error:
        say("standin", str(error))
        return 2
    with lock, Supervisor(lock, on_change=(folder / "changed").touch) as supervisor:
        try:
            supervisor.start([part(folder, "early")])
            supervisor.start([part(folder, "late"), part(folder, "stubborn", stubborn=True)])
            (folder / "ready").touch()
            supervisor.watch()
        except StopRequested:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
