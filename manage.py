#!/usr/bin/env python3
"""Django's command line; `manage.py run` starts everything."""

import os
import sys


def main() -> None:
    """Hand the words on the command line to the right place."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    if sys.argv[1:] in (["run"], ["run", "all"]):
        # Without Django: the supervisor starts the database that the settings need, and stays small.
        from portal.embedded.stack import run_all  # noqa: PLC0415

        sys.exit(run_all())
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415  not needed by the supervisor
    from django.core.management import execute_from_command_line  # noqa: PLC0415  not needed by the supervisor

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
