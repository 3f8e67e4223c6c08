"""A database that grew step by step ends as one that was made at once."""

from typing import Any

from django.apps import apps
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState

from portal.embedded.child import REPOSITORY


def _tables(*, at_once: bool) -> dict[tuple[str, str], ModelState]:
    own = {config.label for config in apps.get_app_configs() if _is_own(config.path)}
    state = MigrationLoader(None, replace_migrations=at_once).project_state()
    return {key: model for key, model in state.models.items() if key[0] in own}


def _is_own(path: str) -> bool:
    relative = path.removeprefix(f"{REPOSITORY}/")
    return relative.split("/")[0] in {"portal", "approvals", "releases"}


def _content(model: ModelState) -> dict[str, Any]:
    named = {name: field.deconstruct()[1:] for name, field in model.fields.items()}
    told = {kind: sorted(map(repr, model.options.get(kind, []))) for kind in ("indexes", "constraints")}
    rest = {name: value for name, value in model.options.items() if name not in told}
    return {"fields": named, **told, "options": rest}


def test_the_squashed_migrations_make_the_tables_of_those_they_replace() -> None:
    grown, made = _tables(at_once=False), _tables(at_once=True)
    assert len(grown) > 40
    assert {key: _content(model) for key, model in grown.items()} == {
        key: _content(model) for key, model in made.items()
    }
