"""Trouble on demand: what the administrator switches on at `/practice/faults`."""

import asyncio
from typing import Any

from portal.embedded.cluster.errors import ApiError, bad_request

REASONS = {
    409: ("Conflict", "Operation cannot be fulfilled: the object has been modified"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: practice fault"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
}


class Faults:
    """The switches, and what they do to a request.

    latency_seconds: every request waits so long. answers: `[{code, count, retry_after?, methods?}]`, the next
    `count` requests are refused so. controllers_stopped: nothing reconciles. pods_die_after_seconds: each pod
    that starts from now on crashes after that time (null: never).
    """

    def __init__(self) -> None:
        self.latency_seconds = 0.0
        self.answers: list[dict[str, Any]] = []
        self.controllers_stopped = False
        self.pods_die_after_seconds: float | None = None

    def show(self) -> dict[str, Any]:
        return {
            "latency_seconds": self.latency_seconds,
            "answers": self.answers,
            "controllers_stopped": self.controllers_stopped,
            "pods_die_after_seconds": self.pods_die_after_seconds,
        }

    def set(self, wanted: dict[str, Any]) -> None:
        """Take over the switches that are named.

        Raises:
            ApiError: 400 for an unknown switch or a value that makes no sense.
        """
        unknown = set(wanted) - {*self.show(), "cut_watches", "expire_watches"}
        if unknown:
            raise bad_request(f"unknown switches: {', '.join(sorted(unknown))}")
        answers = wanted.get("answers", self.answers)
        if any(answer.get("code") not in REASONS for answer in answers):
            raise bad_request(f"answers need a code, one of {sorted(REASONS)}")
        self.latency_seconds = float(wanted.get("latency_seconds", self.latency_seconds))
        self.answers = [{"count": 1, **answer} for answer in answers]
        self.controllers_stopped = bool(wanted.get("controllers_stopped", self.controllers_stopped))
        dies = wanted.get("pods_die_after_seconds", self.pods_die_after_seconds)
        self.pods_die_after_seconds = None if dies is None else float(dies)

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    async def meet(self, method: str) -> None:
        """Let one request meet the trouble that is switched on.

        Raises:
            ApiError: the refusal that was asked for.
        """
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        for answer in self.answers:
            if answer["count"] > 0 and method in answer.get("methods", [method]):
                answer["count"] -= 1
                self.answers = [each for each in self.answers if each["count"] > 0]
                raise _refusal(answer)


def _refusal(answer: dict[str, Any]) -> ApiError:
    code = answer["code"]
    reason, message = REASONS[code]
    headers = {}
    details = {}
    if code in (429, 503) and "retry_after" in answer:
        headers["Retry-After"] = str(answer["retry_after"])
        details["retryAfterSeconds"] = answer["retry_after"]
    return ApiError(code, reason=reason, message=message, details=details, headers=headers)
