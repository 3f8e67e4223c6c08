"""Sentences of the portal in rows: in the language of each reader, whoever wrote them."""

import json
from typing import Any

import pytest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from portal.errors import TemporaryError
from portal.integrations.kubernetes.errors import unreachable
from portal.sentences import joined, kept, sentence, with_words, worded, worded_in

UNREADABLE = _("The answer cannot be read.")
OUTER = _("The cluster at {server} does not answer: {reason}")


def row(text: object) -> Any:
    """What a row has of a text that was met by a worker which speaks Korean."""
    with override("ko"):
        return json.loads(json.dumps(kept(text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("in the cluster's own words", "in the cluster's own words"),
        (UNREADABLE, "The answer cannot be read."),
        (sentence(OUTER, server="k8s", reason=7), "The cluster at k8s does not answer: 7"),
        (
            sentence(OUTER, server="{server}", reason=UNREADABLE),
            "The cluster at {server} does not answer: The answer cannot be read.",
        ),
        (joined([UNREADABLE, "own"], between="; "), "The answer cannot be read.; own"),
        (joined([]), ""),
        (sentence("{braces} and nothing to fill"), "{braces} and nothing to fill"),
    ],
)
def test_what_is_kept_is_worded_for_its_reader(text: object, said: str) -> None:
    found = row(text)
    with override("en"):
        assert worded(found) == said == str(text)
    with override("ko"):
        assert worded(found) == str(text)


def test_the_words_of_an_outside_system_stay_as_they_came_and_ours_are_found_anywhere() -> None:
    error = unreachable("https://k8s", OSError("refused"))
    assert isinstance(error, TemporaryError)
    found = {"history": [{"failure": {"message": row(error.detail), "says": "hello"}}], "n": 1}
    with override("en"):
        [entry] = worded_in(found)["history"]
    assert entry["failure"]["message"] == "The cluster at https://k8s does not answer: OSError: refused"
    assert entry["failure"]["says"] == "hello"
    with override("ko"):
        assert "응답" in worded_in(found)["history"][0]["failure"]["message"]


@pytest.mark.parametrize(
    ("says", "args", "said"),
    [
        ("{wide:>999999999}", {"wide": "x"}, "{wide:>999999999}"),
        ("{name.__class__}", {"name": "x"}, "{name.__class__}"),
        ("{gone}", {"name": "x"}, "{gone}"),
        ("", {}, ""),
    ],
)
def test_what_others_wrote_in_the_shape_of_a_sentence_is_carried_out_as_none(
    says: str, args: dict[str, str], said: str
) -> None:
    assert worded_in([{"says": says, "args": args}]) == [said]


@pytest.mark.parametrize("found", [{"says": "hello", "args": "you"}, {"says": 7, "args": {}}])
def test_what_only_looks_like_a_sentence_stays_what_it_is(found: Any) -> None:
    assert worded_in({"reported": found}) == {"reported": found}


def test_of_a_kept_sentence_only_what_others_wrote_is_changed() -> None:
    found = row(sentence(OUTER, server="k8s", reason=joined([UNREADABLE, "own"])))
    with override("en"):
        said = worded(with_words(found, str.upper))
    assert said == "The cluster at K8S does not answer: The answer cannot be read. OWN"
    assert with_words("own", str.upper) == "OWN"
