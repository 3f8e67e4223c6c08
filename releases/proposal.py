"""From a release's rows to what approvals asks: facts of each item, parts, and who does not count."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower

from approvals import grades, policy
from portal.people.models import User
from releases.catalog.models import Environment, Running, Service
from releases.items import items_of
from releases.models import Item, Release
from releases.operating import plan_of
from releases.planned import facts_of_plan


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Who is said to have built an item; `said` is "" where nobody is."""

    item: Item
    said: str
    accounts: tuple[User, ...]


def propose(release: Release) -> dict[str, Any]:
    """Return the proposed grade with its reasons in the form the release keeps."""
    found = grades.propose([item_facts(release, item) for item in release.items.select_related("service")])
    reasons = [
        {"fact": r.fact, "service": r.service, "grade": r.grade, "source": r.source, "origin": r.origin}
        for r in found.reasons
    ]
    return {"grade": found.grade, "reasons": reasons}


def item_facts(release: Release, item: Item) -> grades.ItemFacts:
    """What was stated of the release and of this item, and what the portal knows itself."""
    facts = stated_of(release, item)
    return grades.ItemFacts(
        service=item.service.name,
        core=item.service.core,
        same_image=runs_already(item),
        feature_flag="feature_flag" in facts,
        scale_only="scale_only" in facts,
        configuration_only="configuration_only" in facts,
        changed_keys=frozenset(entry["key"] for entry in item.configuration),
        safe_keys=frozenset(item.service.spec.get("safeKeys", [])),
        new_api="new_api" in facts,
        infrastructure="infrastructure" in facts,
        traffic_path="traffic_path" in facts,
        database_change="database_change" in facts,
        touches=frozenset(item.service.spec.get("touches", [])),
        planned=facts_of_plan(plan_of(release), item.service.name, item.service.spec),
        operation=str(release.operation.get("kind", "")),
    )


def stated_of(release: Release, item: Item) -> frozenset[str]:
    """The facts that people state of one item: its own, the release's, and the database changes that name it.

    A database change that names no service concerns all of them.
    """
    named = {change.get("service") or "" for change in release.database_changes}
    facts = {fact for fact, is_true in (*release.facts.items(), *item.facts.items()) if is_true}
    if item.service.name in named or "" in named:
        facts.add("database_change")
    elif named and not item.facts.get("database_change"):
        facts.discard("database_change")
    return frozenset(facts)


def facts_of(release: Release) -> frozenset[str]:
    """Every fact that is true of some item, stated or known to the portal."""
    return facts_in(release, items_of(release))


def facts_in(release: Release, items: Iterable[Item]) -> frozenset[str]:
    """Every fact that is true of some of these items of the release."""
    return frozenset(fact for item in items for fact in grades.further(item_facts(release, item)))


def runs_already(item: Item, seen: Mapping[str, Any] | None = None) -> bool:
    """Whether the item's image is known to be all that runs of the service; not knowing is no.

    Where other pods, or other workloads of the service, run another image, the release would change it.

    Args:
        seen: what runs, as `running_of` says it; what the item remembers by default.
    """
    running = set((item.running if seen is None else seen).get("digests", []))
    return bool(running) and running <= {item.digest, *item.accepted}


def running_of(service: Service, environment: Environment) -> dict[str, Any]:
    """What was last seen to run: version, image and digests; empty when unknown."""
    row = Running.objects.filter(service=service, environment=environment).first()
    if row is None or not row.seen:
        return {}
    images = row.seen.get("images") or {}
    own = [image for image in images.values() if str(image).startswith(service.image)]
    return {
        "version": row.seen.get("version") or "",
        "image": str((own or [*images.values(), ""])[0]),
        "digests": list(row.seen.get("digests") or []),
    }


def workloads_of(service: Service, environment: Environment) -> set[str]:
    """The names of the workloads that were last seen to have the service's traffic; empty when unknown."""
    row = Running.objects.filter(service=service, environment=environment).first()
    return {name.partition("/")[2] for name in (row.seen.get("workloads") or {})} if row else set()


def parts_of(release: Release) -> list[policy.Part]:
    """The services concerned, as policies see them."""
    everywhere = {fact for fact, value in release.facts.items() if value}
    return [
        policy.Part(
            service=item.service.name,
            team=item.service.team.key,
            core=item.service.core,
            cluster_group=release.environment.cluster_group,
            facts=grades.further(item_facts(release, item)) | everywhere,
        )
        for item in release.items.select_related("service__team")
    ]


def barred_from(release: Release) -> list[User]:
    """Author, contributors, and the accounts that built or committed an item."""
    known = [user for builder in builders_of(release) for user in builder.accounts]
    return list({user.pk: user for user in [release.author, *release.contributors.all(), *known]}.values())


def builders_of(release: Release) -> list[Builder]:
    """Who built each item, as people and images say; names and addresses of nobody here have no account."""
    said = {item: _said(item) for item in release.items.all()}
    words = {word.lower() for entries in said.values() for entry in entries for word in _words(entry)}
    accounts = User.objects.annotate(said_name=Lower("username"), said_address=Lower("email"))
    found = list(accounts.filter(Q(said_name__in=words) | Q(said_address__in=words)))
    return [
        Builder(
            item=item,
            said=entry,
            accounts=tuple(
                user
                for user in found
                if {user.said_name, user.said_address} & {w.lower() for w in _words(entry)}
            ),
        )
        for item, entries in said.items()
        for entry in entries or ("",)
    ]


def _said(item: Item) -> tuple[str, ...]:
    entries = [item.built_by, *re.split("[,;\n]", item.image_authors)]
    return tuple(dict.fromkeys(entry.strip() for entry in entries if entry.strip()))


def _words(entry: str) -> set[str]:
    """What of an entry such as "Kim Minji <minji@shop.example>" can name an account."""
    return {entry, parseaddr(entry)[1]} - {""}
