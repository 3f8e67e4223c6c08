"""Verifies an export of the record, alone: needs Python 3.11, its standard library and `cryptography`.

    python verify.py record.zip [--checkpoints FILE] [--key HEX] [--part]

or a folder, entries.jsonl, or a release's proof.json in place of record.zip. The portal checks its database
by the same functions. An entry's digest is the SHA-256 of the RFC 8785 form of {"entry": …, "number": N,
"previous": digest of entry N-1}. A checkpoint is signed with Ed25519 over the RFC 8785 form of itself without
its signature; its root is that of a hash tree (RFC 6962) over the digests of the entries it covers, so that
one entry can be shown to be among them without the others. Ends with 0 where all is whole, with 1 where
something is not, and with 2 where it could not be read.
"""

import argparse
import contextlib
import hashlib
import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BEGINNING = "0" * 64
KEY_ACTION = "record.key"
REMOVED_ACTION = "record.removed"
PROOF = "release-proof/2"
WHOLE, BROKEN, UNREADABLE = 0, 1, 2
# A row that was given another number is looked for so far behind the end.
REACH = 10_000
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
# They sort in another order as UTF-16 units than as code points.
ABOVE_FFFF = re.compile("[\U00010000-\U0010ffff]")


def gettext_noop(text: str) -> str:
    """Mark a sentence for the portal's translators."""
    return text


SENTENCES = {
    "changed": gettext_noop("Entry {number} was changed."),
    "columns": gettext_noop("What entry {number} is found by was changed; its text is whole."),
    "removed": gettext_noop("Entries {number} to {last} were removed."),
    "reordered": gettext_noop("Entry {number} stands in the place of another."),
    "inserted": gettext_noop("Entry {number} was inserted."),
    "forked": gettext_noop("Two entries follow the same one; the second is entry {number}."),
    "no beginning": gettext_noop(
        "Entries 1 to {last} were removed, and the checkpoint that must stand for them is missing."
    ),
    "loose": gettext_noop("An entry stands outside the chain, after entry {last}."),
    "rewritten": gettext_noop(
        "From entry {number} on the record is not the one that was signed at entry {last} ({at}): it was "
        "rewritten, or an older copy was put back and went on."
    ),
    "cut off": gettext_noop(
        "Entries {number} to {last} are missing: they were signed ({at}). The end was cut off, or an older "
        "copy was put back."
    ),
    "bad signature": gettext_noop("The signature of the checkpoint at entry {number} does not hold."),
    "unknown key": gettext_noop("The checkpoint at entry {number} is signed with a key that is not trusted."),
    "no proof": gettext_noop("Entry {number} does not lead to the checkpoint that it names."),
    "content": gettext_noop("The content of release #{number} is not the one of its digest."),
    "unbacked": gettext_noop("What is said about release #{number} does not stand in its entries: {what}"),
}
# What a fault is called; the sentence may say more.
KINDS = {
    "columns": "changed",
    "no beginning": "removed",
    "loose": "inserted",
    "rewritten": "forked",
    "unknown key": "bad signature",
    "no proof": "changed",
    "content": "changed",
    "unbacked": "changed",
}


class Unreadable(Exception):
    """The file is not what it should be."""


class Row(NamedTuple):
    """An entry: its place, the digest of the one before it, its own, and its canonical text."""

    number: int
    previous: str
    digest: str
    text: str


@dataclass(frozen=True)
class Fault:
    """The first bad entry, and which sentence of SENTENCES says what is wrong with it."""

    number: int
    code: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """changed, removed, reordered, inserted, cut off, forked or bad signature."""
        return KINDS.get(self.code, self.code)

    def sentence(self, translate: Callable[[str], str] = str) -> str:
        """What is wrong, in words."""
        return translate(SENTENCES[self.code]).format(number=self.number, **self.values)


class Found(Exception):
    """Carries the first fault out of the walk along the chain."""

    def __init__(self, code: str, number: int, **values: object) -> None:
        super().__init__(code)
        self.fault = Fault(number, code, values)


@dataclass
class Result:
    """What a check found: entries and checkpoints that hold, the last good digest, how far it is signed.

    `unsigned` is how many of the entries no checkpoint covers. `removed` are the entries at the beginning
    that were removed by rule and for which a checkpoint stands.
    """

    entries: int = 0
    removed: int = 0
    head: str = BEGINNING
    checkpoints: int = 0
    signed: int = 0
    unsigned: int = 0
    fault: Fault | None = None

    @property
    def last(self) -> int:
        """The number of the last entry that holds."""
        return self.removed + self.entries


# --- The canonical form (RFC 8785) --------------------------------------------------------------------------


class _Fraction(Exception):
    """The text holds a number with a fraction, which JSON libraries write in their own ways."""


def _no_fraction(text: str) -> float:
    raise _Fraction(text)


def canonical(value: object) -> str:
    """The RFC 8785 form: keys in the order of their UTF-16 units, numbers as ECMAScript writes them."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_plain(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return _number(value) if isinstance(value, float) else _plain(value)


# Made once: to make one for each entry would cost as much as its use.
_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_without_fractions = json.JSONDecoder(parse_float=_no_fraction).decode


def _number(value: float) -> str:
    """ECMA-262, Number::toString, from the shortest digits that Python finds too."""
    if not math.isfinite(value):
        raise Unreadable("a number that JSON does not know")
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    digits, _e, exponent = repr(value).partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent):+d}"


def _read_entry(line: str) -> tuple[dict[str, Any], str]:
    """An exported line and the canonical text of its entry."""
    try:
        read: dict[str, Any] = _without_fractions(line)
        text = _plain(read["entry"])
    except _Fraction:
        read = json.loads(line)
        return read, canonical(read["entry"])
    return read, canonical(read["entry"]) if ABOVE_FFFF.search(text) else text


# --- Digests, hash tree, signatures -------------------------------------------------------------------------


def digest_of(text: str, *, number: int, previous: str) -> str:
    """The digest that an entry's text, place and predecessor give."""
    form = f'{{"entry":{text},"number":{number},"previous":"{previous}"}}'
    return hashlib.sha256(form.encode()).hexdigest()


class Tree:
    """The hash tree over digests (RFC 6962, 2.1); each part of it is hashed once."""

    def __init__(self, digests: Sequence[str]) -> None:
        self._leaves = [_leaf(digest) for digest in digests]
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self) -> str:
        """What a checkpoint signs."""
        return self._over(0, len(self._leaves)).hex()

    def path(self, place: int) -> list[list[str]]:
        """What leads from one digest to the root: [side, hash] for each level, the nearest first."""
        return self._path(0, len(self._leaves), place)

    def _over(self, start: int, end: int) -> bytes:
        if end - start == 1:
            return self._leaves[start]
        found = self._known.get((start, end))
        if found is None:
            middle = start + _half(end - start)
            found = self._known[start, end] = _node(self._over(start, middle), self._over(middle, end))
        return found

    def _path(self, start: int, end: int, place: int) -> list[list[str]]:
        if end - start == 1:
            return []
        middle = start + _half(end - start)
        if place < middle:
            return [*self._path(start, middle, place), ["right", self._over(middle, end).hex()]]
        return [*self._path(middle, end, place), ["left", self._over(start, middle).hex()]]


class Root:
    """The root of a hash tree over digests that come one by one; it keeps as many hashes as the tree is high.

    Args:
        parts: what `as_json` gave.
    """

    def __init__(self, parts: Iterable[tuple[int, str]] = ()) -> None:
        self._parts = [(leaves, bytes.fromhex(hashed)) for leaves, hashed in parts]

    def add(self, digest: str) -> None:
        """Put one digest behind the others."""
        parts, leaves, hashed = self._parts, 1, _leaf(digest)
        while parts and parts[-1][0] == leaves:
            hashed = _node(parts.pop()[1], hashed)
            leaves *= 2
        parts.append((leaves, hashed))

    def value(self) -> str:
        """The root over all that was added."""
        _leaves, found = self._parts[-1]
        for _leaves, before in reversed(self._parts[:-1]):
            found = _node(before, found)
        return found.hex()

    def as_json(self) -> list[tuple[int, str]]:
        """What it is made from again."""
        return [(leaves, hashed.hex()) for leaves, hashed in self._parts]


def root_by(digest: str, path: Iterable[Sequence[str]]) -> str:
    """The root that a digest and its path lead to."""
    found = _leaf(digest)
    for side, other in path:
        beside = bytes.fromhex(other)
        found = _node(beside, found) if side == "left" else _node(found, beside)
    return found.hex()


def _leaf(digest: str) -> bytes:
    return hashlib.sha256(b"\0" + bytes.fromhex(digest)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _half(count: int) -> int:
    """The largest power of two below the count."""
    return 1 << (count - 1).bit_length() - 1


def key_id(public: str) -> str:
    """The short name of a public key given in hex."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def statement(checkpoint: Mapping[str, Any]) -> bytes:
    """What a checkpoint's signature is made over."""
    names = ("at", "first", "head", "key", "number", "root")
    return canonical({name: checkpoint[name] for name in names}).encode()


def is_signed(checkpoint: Mapping[str, Any], public: str) -> bool:
    """Whether this key signed this checkpoint."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(checkpoint["signature"]), statement(checkpoint))
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return False
    return True


# --- The chain ----------------------------------------------------------------------------------------------


class Lookup(Protocol):
    """Questions that are asked only once something is wrong."""

    def row(self, number: int) -> Row | None:
        """The entry at a place."""

    def follower_of(self, digest: str) -> int | None:
        """The place of an entry that names this digest as the one before it."""

    def place_of(self, digest: str) -> int | None:
        """The place of the entry with this digest."""

    def last(self) -> int:
        """The highest number."""


@dataclass(frozen=True)
class Removal:
    """The beginning that was removed by rule, as its entry says: up to which entry, and the keys in it."""

    last: int
    keys: tuple[str, ...]


def last_of(so_far: Mapping[str, Any]) -> int:
    """The number of the last entry that a walk had come to."""
    return int(so_far["removed"]) + int(so_far["entries"])


def removal_in(entry: Mapping[str, Any]) -> Removal | None:
    """What the entry of a removal says; None where it is no such entry."""
    if entry.get("action") != REMOVED_ACTION:
        return None
    after = entry["after"]
    return Removal(
        int(after["last"]), tuple(key for key in after["public_keys"] if PUBLIC_KEY.fullmatch(key))
    )


class Chain:
    """Walks along the entries from the first to the last; `result` tells how far it came.

    It needs as much memory for a million entries as for a few. `as_json` is all that it knows after any
    entry: whoever has that goes on from there.
    """

    def __init__(
        self,
        lookup: Lookup,
        checkpoints: Iterable[Mapping[str, Any]],
        *,
        keys: Iterable[str] = (),
        learns: bool = True,
        removal: Removal | None = None,
        so_far: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a walk.

        Args:
            lookup: answers where something is wrong.
            checkpoints: of whatever origin; the same one may come twice.
            keys: public keys in hex that are known from elsewhere.
            learns: whether a key counts as well that the chain itself introduces.
            removal: the beginning that is not there; the checkpoint at its end must be.
            so_far: what another walk had come to, from `as_json`.
        """
        self.result = Result()
        self._lookup = lookup
        known = [*keys, *(removal.keys if removal and learns else ())]
        self._keys = {key_id(public): public for public in known}
        self._learns = learns
        self._roots: dict[int, Root] = {}
        self._due: dict[int, list[Mapping[str, Any]]] = {}
        self._wanted: dict[int, int] = {}
        self._removal = removal
        self._next_root = 1
        if so_far is not None:
            self._go_on_from(so_far)
        for checkpoint in checkpoints:
            self._expect(checkpoint)

    def as_json(self) -> dict[str, Any]:
        """All that must be known to go on from here."""
        result = self.result
        return {
            "entries": result.entries,
            "removed": result.removed,
            "head": result.head,
            "checkpoints": result.checkpoints,
            "signed": result.signed,
            "keys": sorted(self._keys.values()),
            "roots": {str(first): root.as_json() for first, root in self._roots.items()},
            "next_root": self._next_root,
        }

    def _go_on_from(self, so_far: Mapping[str, Any]) -> None:
        names = ("entries", "removed", "head", "checkpoints", "signed")
        self.result = Result(**{name: so_far[name] for name in names})
        self._keys |= {key_id(public): public for public in so_far["keys"]}
        self._roots = {int(first): Root(parts) for first, parts in so_far["roots"].items()}
        self._next_root = so_far["next_root"]

    def _expect(self, checkpoint: Mapping[str, Any]) -> None:
        first, number = int(checkpoint["first"]), int(checkpoint["number"])
        if number > self.result.last:
            self._due.setdefault(number, []).append(checkpoint)
            self._wanted[first] = max(self._wanted.get(first, 0), number)

    def walk(self, rows: Iterable[Row], agrees: Callable[[Row], bool] | None = None) -> Result:
        """Check every entry, and every checkpoint where it stands.

        Args:
            agrees: whether what an entry is found by says the same as its text.
        """
        self.go(rows, agrees)
        return self.end()

    def go(self, rows: Iterable[Row], agrees: Callable[[Row], bool] | None = None) -> Result:
        """Check the next entries; there may be more."""
        try:
            if self.result.last == 0 and self._removal is not None:
                self._begin_after(self._removal.last)
            for row in rows:
                self._step(row, agrees)
        except Found as found:
            self.result.fault = found.fault
        return self.result

    def end(self) -> Result:
        """Say that there are no more entries: nothing may have been signed that is not there."""
        if self.result.fault is None:
            try:
                self._miss_nothing()
            except Found as found:
                self.result.fault = found.fault
        self.result.unsigned = self.result.last - max(self.result.signed, self.result.removed)
        return self.result

    def _begin_after(self, last: int) -> None:
        """Take the checkpoint for the entries that were removed up to it."""
        if last not in self._due:
            raise Found("no beginning", 1, last=last)
        for number in sorted(number for number in self._due if number <= last):
            for checkpoint in self._due.pop(number):
                self._require_signature(checkpoint)
                if number == last and self.result.head not in {BEGINNING, checkpoint["head"]}:
                    raise Found("rewritten", last, last=last, at=checkpoint["at"])
                self.result.head = checkpoint["head"] if number == last else BEGINNING
                self.result.checkpoints += 1
        self.result.removed = self.result.signed = last
        self._next_root = last + 1

    def _step(self, row: Row, agrees: Callable[[Row], bool] | None) -> None:
        number, previous = self.result.last + 1, self.result.head
        if row.number != number or row.previous != previous or not _agrees_with_itself(row):
            raise self._named(row, number, previous)
        if agrees is not None and not agrees(row):
            raise Found("columns", number)
        if self._learns and KEY_ACTION in row.text:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # no entry of the portal's
                self._learn(json.loads(row.text))
        self.result.entries, self.result.head = self.result.entries + 1, row.digest
        if number == self._next_root or number in self._wanted:
            self._roots[number] = Root()
        for root in self._roots.values():
            root.add(row.digest)
        if number in self._due:
            self._check_all(self._due.pop(number), number)

    def _check_all(self, checkpoints: Iterable[Mapping[str, Any]], number: int) -> None:
        for checkpoint in checkpoints:
            self._check(checkpoint)
        self._next_root = number + 1
        self._roots = {
            first: root for first, root in self._roots.items() if self._wanted.get(first, 0) > number
        }

    def _named(self, row: Row, number: int, previous: str) -> Found:
        """Find out what was done to the first entry that does not fit."""
        if row.number > number and self._lookup.row(number) is None:
            return Found("removed", number, last=row.number - 1)
        if row.number != number:
            return Found("reordered" if row.number > number else "inserted", min(number, row.number))
        if not _agrees_with_itself(row):
            return self._of_broken_seal(row, previous)
        return self._of_broken_link(row)

    def _of_broken_seal(self, row: Row, previous: str) -> Found:
        """The entry does not agree with itself, unless it once stood elsewhere."""
        stood = next((at for at in range(1, self._lookup.last() + REACH) if _is_of(row, at)), None)
        if stood is None:
            return Found("changed", row.number)
        before = self._lookup.row(stood - 1)
        if stood < row.number and row.previous == (before.digest if before else BEGINNING):
            return Found("inserted", stood)
        if stood > row.number and self._lookup.follower_of(previous) is None:
            return Found("removed", row.number, last=stood - 1)
        return Found("reordered", row.number)

    def _of_broken_link(self, row: Row) -> Found:
        """The entry agrees with itself but names another one before it than stands there."""
        if row.previous == BEGINNING or self._lookup.place_of(row.previous) is not None:
            return Found("forked", row.number)
        after = self._lookup.row(row.number + 1)
        if after is not None and after.previous != row.digest:
            return Found("inserted", row.number)
        # The rest goes on from it: the one before was exchanged and sealed anew.
        return Found("changed", max(row.number - 1, 1))

    def _learn(self, entry: Mapping[str, Any]) -> None:
        public = str(entry["after"].get("public_key", "")) if entry["action"] == KEY_ACTION else ""
        if PUBLIC_KEY.fullmatch(public):
            self._keys[key_id(public)] = public

    def _check(self, checkpoint: Mapping[str, Any]) -> None:
        self._require_signature(checkpoint)
        first, number = int(checkpoint["first"]), int(checkpoint["number"])
        root = self._roots.get(first)
        # Where the walk did not pass the first of its entries, the head alone says whether it fits.
        fits = root is None or checkpoint["root"] == root.value()
        if checkpoint["head"] != self.result.head or not fits:
            good = self.result.signed
            raise Found("rewritten", good + 1, last=number, at=checkpoint["at"])
        self.result.checkpoints += 1
        self.result.signed = number

    def _require_signature(self, checkpoint: Mapping[str, Any]) -> None:
        _require_signature(checkpoint, self._keys)

    def _miss_nothing(self) -> None:
        for number in sorted(self._due):
            for checkpoint in self._due[number]:
                self._require_signature(checkpoint)
                raise Found("cut off", self.result.last + 1, last=number, at=checkpoint["at"])


def _agrees_with_itself(row: Row) -> bool:
    return _is_of(row, row.number)


def _is_of(row: Row, number: int) -> bool:
    return digest_of(row.text, number=number, previous=row.previous) == row.digest


def _require_signature(checkpoint: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    public = keys.get(str(checkpoint["key"]))
    if public is None:
        raise Found("unknown key", int(checkpoint["number"]))
    if not is_signed(checkpoint, public):
        raise Found("bad signature", int(checkpoint["number"]))


def check_part(rows: Iterable[Row]) -> Result:
    """Check entries that are not all: each in itself, and with the one before it where that is there."""
    result, last = Result(), 0
    for row in rows:
        code = _fault_in_part(row, last, result.head)
        if code:
            result.fault = Fault(row.number, code)
            return result
        last, result.head = row.number, row.digest
        result.entries += 1
        result.unsigned += 1
    return result


def _fault_in_part(row: Row, last: int, head: str) -> str:
    if row.number <= last:
        return "reordered"
    is_next = last and row.number == last + 1
    return "changed" if not _agrees_with_itself(row) or (is_next and row.previous != head) else ""


# --- The proof of one release -------------------------------------------------------------------------------


def check_proof(
    proof: Mapping[str, Any],
    *,
    checkpoints: Iterable[Mapping[str, Any]] = (),
    keys: Iterable[str] | None = None,
) -> Result:
    """Check a release's proof: its content, its entries and their signatures, and that they say what it says.

    Args:
        checkpoints: received elsewhere; they must be those of the proof.
        keys: public keys that are trusted; without, those that the proof itself names.

    Raises:
        Unreadable: it is a proof of another version, which says other things.
    """
    if proof["proof"] != PROOF:
        raise Unreadable(f"it is no {PROOF}: take the file anew, or the verify.py of its time")
    rows = [
        Row(each["number"], each["previous"], each["digest"], canonical(each["entry"]))
        for each in proof["entries"]
    ]
    result = check_part(rows)
    known = {key_id(public): public for public in (proof["keys"] if keys is None else keys)}
    try:
        if result.fault is None:
            _check_content(proof)
            _check_signed(proof, known, result)
            _check_claims(proof)
            _check_elsewhere(proof, checkpoints, known)
    except Found as found:
        result.fault = found.fault
    return result


def _check_content(proof: Mapping[str, Any]) -> None:
    digest = hashlib.sha256(canonical(proof["content"]).encode()).hexdigest()
    if f"sha256:{digest}" != proof["content_digest"]:
        raise Found("content", int(proof["release"]["number"]))


def _check_signed(proof: Mapping[str, Any], keys: Mapping[str, str], result: Result) -> None:
    """Each entry leads to the root of its checkpoint, and each checkpoint is signed."""
    signed = {}
    for checkpoint in proof["checkpoints"]:
        _require_signature(checkpoint, keys)
        signed[checkpoint["number"]] = checkpoint
    result.checkpoints = len(signed)
    for each in proof["entries"]:
        if each["checkpoint"] is None:
            continue
        found = signed.get(each["checkpoint"])
        if found is None or not found["first"] <= each["number"] <= found["number"]:
            raise Found("no proof", each["number"])
        if root_by(each["digest"], each["path"]) != found["root"]:
            raise Found("no proof", each["number"])
        result.signed = each["number"]
        result.unsigned -= 1


def _check_claims(proof: Mapping[str, Any]) -> None:
    """What the proof says in its parts stands in the entries that it names."""
    entries = {each["number"]: each["entry"] for each in proof["entries"]}
    release = int(proof["release"]["number"])
    for claim in claims_of(proof):
        entry = entries.get(claim.entry)
        if entry is None or not _says(entry, claim):
            raise Found("unbacked", release, what=claim.what)


class Claim(NamedTuple):
    """What a part of a proof says, and the entry that must say so too; None is not compared."""

    what: str
    entry: int | None
    after: Mapping[str, Any]
    actor: str | None = None
    on_behalf_of: str | None = None
    digest: str | None = None
    reason: str | None = None


def _says(entry: Mapping[str, Any], claim: Claim) -> bool:
    said = {
        "actor": entry["actor"]["name"],
        "on_behalf_of": entry["actor"]["on_behalf_of"],
        "digest": entry["content_digest"],
        "reason": entry["reason"],
    }
    return all(getattr(claim, name) in {None, value} for name, value in said.items()) and all(
        entry["after"].get(name) == value for name, value in claim.after.items()
    )


def claims_of(proof: Mapping[str, Any]) -> Iterator[Claim]:
    """What must stand in an entry: who asked, decided, checked, ordered, announced, and what came of it."""
    for each in proof["decisions"]:
        yield from _claims_of_decision(each)
    for each in proof["checks"]:
        if each["result"]:
            after = {"text": each["text"], "result": each["result"]}
            yield Claim(f"check {each['id']}", each["entry"], after, actor=each["by"])
    for rollout in proof["rollouts"]:
        yield from _claims_of_rollout(rollout)
    if proof["announced"]["entry"] is not None:
        said = proof["announced"]
        yield Claim("the announcement", said["entry"], {"text": said["text"]}, actor=said["by"])
    for what, by in (
        ("created", proof["release"]["author"]),
        ("submitted", proof["release"]["submitted_by"]),
    ):
        if by is not None:
            yield Claim(f"who {what} it", proof["release"][f"{what}_entry"], {}, actor=by)


def _claims_of_decision(each: Mapping[str, Any]) -> Iterator[Claim]:
    after = {name: each[name] for name in ("person", "verdict", "phase", "capacities")}
    giver = each["on_behalf_of"] or ""
    yield Claim(
        f"decision {each['id']}",
        each["entry"],
        after,
        actor=each["person"],
        on_behalf_of=giver,
        digest=each["digest"],
        reason=each["reason"],
    )
    if each["revoked_at"] is not None:
        yield Claim(f"decision {each['id']}", each["revoked_entry"], after, actor=each["person"])
    if each["answer"]:
        what = f"the answer to objection {each['id']}"
        yield Claim(what, each["answer_entry"], after, actor=each["answered_by"], reason=each["answer"])


def _claims_of_rollout(rollout: Mapping[str, Any]) -> Iterator[Claim]:
    name = f"rollout {rollout['id']}"
    by = rollout["started_by"] or "portal"
    yield Claim(name, rollout["started_entry"], {}, actor=by, digest=rollout["content_digest"])
    for order in rollout["orders"]:
        after = {"order": order["id"], "kind": order["kind"]}
        yield Claim(f"order {order['id']}", order["entry"], after, actor=order["by"], reason=order["reason"])
    for step in rollout["steps"]:
        if step["entry"] is not None:
            yield Claim(f"step {step['key']}", step["entry"], {"state": step["state"]})
    if rollout["verdict"] is not None:
        yield Claim(f"what ran in {name}", rollout["verdict_entry"], {"verdict": rollout["verdict"]})


def _check_elsewhere(
    proof: Mapping[str, Any], checkpoints: Iterable[Mapping[str, Any]], keys: Mapping[str, str]
) -> None:
    mine = {each["number"]: each for each in proof["checkpoints"]}
    for checkpoint in checkpoints:
        _require_signature(checkpoint, keys)
        here = mine.get(checkpoint["number"])
        if here is not None and statement(here) != statement(checkpoint):
            raise Found("rewritten", checkpoint["first"], last=checkpoint["number"], at=checkpoint["at"])


# --- Files --------------------------------------------------------------------------------------------------


class Files:
    """An export: a zip, the folder it was unpacked to, or its entries alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> Iterator[Row]:
        """The entries in the order of the file."""
        for place, line in enumerate(self._lines("entries.jsonl"), 1):
            try:
                read, text = _read_entry(line)
                yield Row(int(read["number"]), str(read["previous"]), str(read["digest"]), text)
            except (ValueError, KeyError, TypeError) as error:
                raise Unreadable(f"line {place} of the entries is no entry: {error}") from error

    def checkpoints(self) -> list[dict[str, Any]]:
        """The checkpoints that came with the entries."""
        if self.path.is_file() and not zipfile.is_zipfile(self.path):
            return []
        return list(checkpoints_in(self._lines("checkpoints.jsonl")))

    def removal(self) -> Removal | None:
        """What was removed by rule before the first entry of the file; None where nothing is missing."""
        first = next((row.number for row in self.rows()), 1)
        if first == 1:
            return None
        for line in self._lines("entries.jsonl"):
            if REMOVED_ACTION in line:
                found = removal_in(_read_entry(line)[0]["entry"])
                if found is not None and found.last == first - 1:
                    return found
        return None

    def _lines(self, name: str) -> Iterator[str]:
        with contextlib.ExitStack() as stack:
            if self.path.is_dir():
                file: Any = stack.enter_context((self.path / name).open("rb"))
            elif zipfile.is_zipfile(self.path):
                file = stack.enter_context(stack.enter_context(zipfile.ZipFile(self.path)).open(name))
            else:
                file = stack.enter_context(self.path.open("rb"))
            yield from filter(str.strip, io.TextIOWrapper(file, encoding="utf-8", newline="\n"))


class Index:
    """Answers about the entries of a file, read a second time only once something is wrong."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._rows: list[Row] = []

    def row(self, number: int) -> Row | None:
        """The entry at a place."""
        return next((row for row in self._all() if row.number == number), None)

    def follower_of(self, digest: str) -> int | None:
        """The place of an entry that names this digest as the one before it."""
        return next((row.number for row in self._all() if row.previous == digest), None)

    def place_of(self, digest: str) -> int | None:
        """The place of the entry with this digest."""
        return next((row.number for row in self._all() if row.digest == digest), None)

    def last(self) -> int:
        """The highest number."""
        return max((row.number for row in self._all()), default=0)

    def _all(self) -> list[Row]:
        if not self._rows:
            self._rows = [row._replace(text="") for row in self._files.rows()]
        return self._rows


def checkpoints_in(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The checkpoints among lines of text, such as those of a mail."""
    for line in lines:
        if line.lstrip().startswith('{"at"'):
            read = json.loads(line)
            if isinstance(read, dict) and "signature" in read:
                yield read


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the command line names; say what was found and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        result = _verified(options)
        _require_something(result)
    except (Unreadable, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"cannot be read: {error}", file=sys.stderr)  # noqa: T201
        return UNREADABLE
    print("\n".join(_said(result)))  # noqa: T201
    return WHOLE if result.fault is None else BROKEN


def _require_something(result: Result) -> None:
    """Nothing is no proof of anything."""
    if result.fault is None and not result.entries:
        raise Unreadable("it holds no entry")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verify.py", description="Verify an export of the record.")
    parser.add_argument(
        "path", type=Path, help="record.zip, its folder, entries.jsonl, or a release's proof.json"
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        help="checkpoints received elsewhere, such as a saved mail; they must hold too",
    )
    parser.add_argument("--key", action="append", help="a public key in hex; then only such keys are trusted")
    parser.add_argument("--part", action="store_true", help="the file was cut out by a search")
    return parser


def _verified(options: argparse.Namespace) -> Result:
    if options.path.suffix == ".json":
        return _verified_proof(options)
    files = Files(options.path)
    if options.part:
        return check_part(files.rows())
    chain = Chain(
        Index(files),
        [*files.checkpoints(), *_received(options)],
        keys=options.key or (),
        learns=not options.key,
        removal=files.removal(),
    )
    return chain.walk(files.rows())


def _verified_proof(options: argparse.Namespace) -> Result:
    proof = json.loads(options.path.read_text(encoding="utf-8"))
    return check_proof(proof, checkpoints=_received(options), keys=options.key)


def _received(options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.checkpoints is None:
        return []
    found = list(checkpoints_in(options.checkpoints.read_text(encoding="utf-8").splitlines()))
    if not found:
        raise Unreadable(f"{options.checkpoints} holds no checkpoint")
    return found


def _said(result: Result) -> Iterator[str]:
    if result.fault is not None:
        yield f"BROKEN at entry {result.fault.number}: {result.fault.kind}"
        yield result.fault.sentence()
    if result.removed:
        yield f"verified from the checkpoint at entry {result.removed}: those before were removed by rule"
    yield f"{result.entries} entries hold, the last with digest {result.head}"
    yield f"{result.checkpoints} checkpoints hold, signed up to entry {result.signed}"
    if result.unsigned:
        yield f"{result.unsigned} of the entries are not under a checkpoint: they prove themselves only"
    if result.fault is None:
        yield "whole"


if __name__ == "__main__":
    sys.exit(main())
