"""Runs one role of the portal in this process, or all of them with what they need."""

import gc
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from portal import counters, env
from portal.embedded.roles import READY_FILE
from portal.embedded.stack import run_all

GRACE_SECONDS = 5
LARGEST_MESSAGE_BYTES = 64 * 1024
# The sockets' loop waits so long for a thread that computes a page, each time it wakes.
SWITCH_SECONDS = 0.0005
# New objects between two searches for garbage. Every sixth looks through what outlived the others too, every
# sixth of those through all: what a search let live while it was in use is not kept for hours when it is done
# with. A search through everything in use stops the sockets for 0.01 s, with thousands of them for 0.1 s.
GARBAGE_AFTER = (2_000, 5, 5)


class Command(BaseCommand):
    """`manage.py run ROLE`; without a role, or with `all`, everything on this machine."""

    help = "Run the portal, or one of its roles: web, worker, watcher, sweeper."
    requires_system_checks: list[str] = []  # they load every page in every role; `make check` makes them

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the role."""
        parser.add_argument("role", nargs="?", default="all", choices=["all", *ROLES])

    def handle(self, *_args: str, role: str, **_options: Any) -> None:
        """Run until a signal comes."""
        if role == "all":
            sys.exit(run_all())
        ROLES[role]()


def run_web() -> None:
    """Serve pages, API and sockets; proxy headers are believed from FORWARDED_ALLOW_IPS only."""
    import uvicorn  # noqa: PLC0415  of no use to the other roles

    from portal.asgi import application  # noqa: PLC0415
    from portal.live.protocol import LiveProtocol  # noqa: PLC0415

    sys.setswitchinterval(SWITCH_SECONDS)
    search_less()
    proxies = env.text("FORWARDED_ALLOW_IPS", "")
    uvicorn.run(
        application,
        host=env.text("LISTEN", "127.0.0.1"),
        port=env.integer("PORT", 8000),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        ws=LiveProtocol,
        ws_max_size=LARGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # a compression context for each socket costs more than it saves
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def run_worker() -> None:
    """Run jobs from the queue."""
    from portal import jobs  # noqa: PLC0415  the role decides which part of the portal is loaded

    _begin()
    # Otherwise the first rollout would wait for it.
    importlib.import_module("releases.rollouts.engine")
    jobs.work()


def run_watcher() -> None:
    """Follow the clusters of everything that is rolling out."""
    from releases.rollouts import watcher  # noqa: PLC0415  only this role loads the Kubernetes client at once

    _begin()
    watcher.run()


def run_sweeper() -> None:
    """Look for what waits too long, again and again."""
    from portal import jobs  # noqa: PLC0415  the role decides which part of the portal is loaded

    _begin()
    jobs.sweep_forever()


ROLES: dict[str, Callable[[], None]] = {
    "web": run_web,
    "worker": run_worker,
    "watcher": run_watcher,
    "sweeper": run_sweeper,
}


def search_less() -> None:
    """Look for garbage now and then, and not among what is loaded: that stays."""
    gc.freeze()
    gc.set_threshold(*GARBAGE_AFTER)


def _begin() -> None:
    """Reach the database once, show what is counted, and make the file that the supervisor waits for."""
    search_less()
    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise CommandError(f"DATABASE_URL names a database that does not answer: {error}") from error
    if settings.METRICS_PORT is not None:
        _show_counts(settings.METRICS_PORT)
    if sign := os.environ.get(READY_FILE):
        Path(sign).touch()


def _show_counts(port: int) -> None:
    try:
        counters.serve(env.text("LISTEN", "127.0.0.1"), port)
    except OSError as error:
        raise CommandError(f"METRICS_PORT is {port}, where nothing can be shown: {error}") from error
