"""The next version of the portal, as far as a test needs one: a copy of this one that knows more.

While it is brought out this version is the old one. It has a kind of step, a column, a table and a job that
this one has never heard of, and its sweeps give a job that both have one argument more.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.embedded.child import REPOSITORY
from releases.rollouts import models
from tests.rollouts.processes import database_url

KIND = "stamp"
CODE = ("portal", "approvals", "releases", "templates", "static", "locale", "deploy", "manage.py")
ROLLOUTS = Path("releases") / "rollouts"
NEWEST = max(path.stem for path in Path(models.__file__).with_name("migrations").glob("0*.py"))
NEW_FILES = {
    ROLLOUTS / "steps" / "stamp.py": """
from releases.rollouts.models import Rollout
from releases.rollouts.steps.restart import Restart

class Stamp(Restart):
    name = "stamp"

    def act(self, work, change):
        Rollout.objects.filter(pk=work.rollout.pk).update(note="stamped")
        return super().act(work, change)
""",
    ROLLOUTS / "migrations" / "9999_next.py": f'''
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("rollouts", "{NEWEST}")]
    operations = [
        migrations.AddField("rollout", "note", models.CharField(max_length=20, blank=True, db_default="")),
        migrations.CreateModel("Errand", [
            ("id", models.BigAutoField(primary_key=True)),
            ("done", models.BooleanField(db_default=False)),
        ]),
    ]
''',
}
NEW_LINES = {
    ROLLOUTS / "steps" / "kinds.py": """
from releases.rollouts.steps.stamp import Stamp
KINDS[Stamp.name] = Stamp()
""",
    ROLLOUTS / "tables.py": """
TIMEOUTS["stamp"] = 60
EACH |= {"stamp"}
PER_WORKLOAD |= {"stamp"}
WRITES_TEMPLATE["forward"] += ("stamp",)
""",
    ROLLOUTS / "models.py": """
Rollout.add_to_class("note", models.CharField(max_length=20, blank=True, db_default=""))

class Errand(models.Model):
    id = models.BigAutoField(primary_key=True)
    done = models.BooleanField(db_default=False)
""",
    ROLLOUTS / "jobs.py": """
@job
def run_errand(pk):
    from releases.rollouts.models import Errand
    Errand.objects.filter(pk=pk).update(done=True)

@sweep(every_seconds=1)
def errands_due():
    from releases.rollouts.models import Errand
    for pk in Errand.objects.filter(done=False).values_list("pk", flat=True):
        enqueue("releases.rollouts.jobs.run_errand", pk)
""",
}
OTHER_LINES = {
    "def advance(rollout_id: int) -> None:": "def advance(rollout_id: int, cause: str = '') -> None:",
    "def broke_off(rollout_id: int, *,": "def broke_off(rollout_id: int, cause: str = '', *,",
    "from portal.jobs import Failure, ": "from portal.jobs import Failure, enqueue, ",
    '    enqueue_each("releases.rollouts.jobs.advance", [each.pk for each in _DUE.ask(now=clock.now())])': (
        "    for each in _DUE.ask(now=clock.now()):\n"
        '        enqueue("releases.rollouts.jobs.advance", each.pk, "swept")'
    ),
    '    enqueue_each("releases.rollouts.jobs.advance", found.values_list("pk", flat=True))': (
        '    for pk in found.values_list("pk", flat=True):\n'
        '        enqueue("releases.rollouts.jobs.advance", pk, "swept")'
    ),
}


@contextmanager
def next_version(folder: Path) -> Iterator[Path]:
    """Write it into the folder and bring its tables out on the test's database, until the end of the block.

    Gives its manage.py.
    """
    _copy(folder)
    _change(folder)
    manage = folder / "manage.py"
    _migrate(manage, "rollouts")
    try:
        yield manage
    finally:
        _migrate(manage, "rollouts", NEWEST)


def _copy(folder: Path) -> None:
    folder.mkdir()
    left = shutil.ignore_patterns("__pycache__")
    for name in CODE:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=left)
        else:
            shutil.copy2(source, folder)


def _change(folder: Path) -> None:
    for path, text in NEW_FILES.items():
        (folder / path).write_text(text)
    for path, text in NEW_LINES.items():
        with (folder / path).open("a") as file:
            file.write(text)
    path = folder / ROLLOUTS / "jobs.py"
    text = path.read_text()
    for old, new in OTHER_LINES.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


def _migrate(manage: Path, *words: str) -> None:
    command = [sys.executable, str(manage), "migrate", "--skip-checks", "-v", "0", *words]
    env = {**os.environ, "DATABASE_URL": database_url(), "DATABASE_OWNER_URL": ""}
    subprocess.run(command, env=env, check=True)
