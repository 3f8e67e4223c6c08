"""Writes a discovery as a catalog file: documents to correct and load, with what to know as comments."""

from collections.abc import Iterable

import yaml
from django.utils.translation import gettext as _

from releases.catalog.discovery import Discovery, Place
from releases.catalog.models import Environment


def place_of(*, namespace: str, system: str | None, team: str | None) -> Place:
    """Fill in what the catalog knows of the namespace; the rest gets a name to be corrected."""
    known = list(Environment.objects.filter(namespace=namespace).order_by("name"))
    return Place(
        namespace=namespace,
        system=system or (known[0].system if known else namespace),
        team=team or "team-to-be-named",
        environments=tuple(each.name for each in known) or (namespace,),
    )


def as_yaml(found: Discovery) -> str:
    """The whole discovery as one file; the notes stand above the document they are about."""
    head = [_("Proposed from what runs. Correct team, system and environments, then load.")]
    head += [_("Warning: %(text)s") % {"text": each} for each in found.warnings]
    head += [_("Beside the services: %(name)s") % {"name": each} for each in found.beside]
    parts = [_comments(head)]
    for each in found.services:
        body = yaml.safe_dump(each.document, sort_keys=False, allow_unicode=True, width=110)
        parts.append(f"---\n{_comments(each.notes)}{body}")
    return "".join(parts)


def _comments(lines: Iterable[str]) -> str:
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)
