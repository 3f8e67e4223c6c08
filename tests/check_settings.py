"""The portal's settings for checks that read code and touch no server (types, missing migrations)."""

import os

for _name, _value in {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "checks need none",
}.items():
    os.environ.setdefault(_name, _value)

from portal.settings import *  # noqa: E402, F403
