"""What the API takes about releases; unknown fields are refused, the rest is checked by the operations."""

from typing import Any

from ninja import Field
from pydantic import StrictBool, StrictInt

from portal.api.paging import PageQuery
from portal.api.schemas import Body, Moment


class ItemInput(Body):
    """A service and the version of it that should go out."""

    service: str
    version: str
    configuration: list["ConfigurationInput"] = []
    facts: "FactsInput | None" = Field(
        None, description="what is true of this service besides the facts of the release"
    )
    built_by: str | None = Field(
        None, description="who built this version: a username, or the address of whoever committed it"
    )


class ConfigurationInput(Body):
    """A configuration key that changes."""

    key: str
    before: str = ""
    after: str = ""


class ChangeInput(Body):
    """One line of what is in the release."""

    area: str
    text: str
    link: str | None = None


class DatabaseChangeInput(Body):
    """A change of a database; without a service it concerns all of them."""

    service: str = ""
    text: str


class FactsInput(Body):
    """What is true of the release; what is left out is not."""

    database_change: StrictBool = False
    infrastructure: StrictBool = False
    traffic_path: StrictBool = False
    new_api: StrictBool = False
    configuration_only: StrictBool = False
    feature_flag: StrictBool = False
    scale_only: StrictBool = False


class IncidentInput(Body):
    """Why grade E is chosen."""

    link: str
    reason: str = ""


class ReleaseChange(Body):
    """What is left out stays as it is."""

    title: str | None = None
    environment: str | None = None
    items: list[ItemInput] | None = None
    changes: list[ChangeInput] | None = None
    facts: FactsInput | None = None
    database_changes: list[DatabaseChangeInput] | None = None
    grade: str | None = None
    grade_reason: str | None = None
    incident: IncidentInput | str | None = None
    target_at: Moment | None = None
    plan: str | None = None
    announcement: str | None = None


class NewRelease(ReleaseChange):
    """A release to compose; without a grade it follows the proposal."""

    environment: str
    items: list[ItemInput]


class AmountsInput(Body):
    """CPU and memory as Kubernetes writes them; what is left out stays as it is."""

    cpu: str | None = None
    memory: str | None = None


class OperationInput(Body):
    """What to do to a service that runs; which fields are taken depends on the kind."""

    kind: str = Field(description="restart, scale, set_resources or run_job")
    workload: str | None = Field(None, description="may be left out where the service has one only")
    replicas: StrictInt | None = Field(None, description="scale: how many; the least where bounds are set")
    most: StrictInt | None = Field(None, description="scale: the most, where an autoscaler owns the replicas")
    container: str | None = Field(None, description="set_resources: which container")
    requests: AmountsInput | None = None
    limits: AmountsInput | None = None
    job: str | None = Field(None, description="run_job: its name in the catalog")
    grade: str | None = None
    grade_reason: str | None = None
    incident: IncidentInput | str | None = None


class Reason(Body):
    """Words for an act."""

    reason: str = ""


class CarryInput(Body):
    """Where to carry the images of a release."""

    environment: str


class ScheduleInput(Body):
    """When to start: a time, or the next opening."""

    at: Moment | None = None
    window: str | None = Field(None, description="next")


class DecisionInput(Body):
    """A verdict on exactly this content."""

    verdict: str = Field(description="approve, send_back, reject or object")
    content_digest: str
    reason: str = ""
    on_behalf_of: str | None = Field(None, alias="for")


class AnswerInput(Body):
    """The answer to an objection."""

    answer: str


class IgnoreInput(Body):
    """Why one breach is let pass."""

    breach: int = Field(ge=1, le=2**31 - 1, description="the gate's `breach` as it was seen")
    reason: str = Field(max_length=4_000)


class CheckInput(Body):
    """The answer to an item of the checklist."""

    result: str = Field(description="done, failed or not_applicable")
    evidence: str | dict[str, Any] | None = Field(
        None,
        description='a text, or {"text", "link", "file": {"name", "content"}} with the content in base64, '
        "at most 5 MB",
    )


class ReleasesQuery(PageQuery):
    """Which releases; several states or grades are separated by commas."""

    state: str | None = Field(None, max_length=200)
    grade: str | None = Field(None, max_length=20)
    environment: str | None = Field(None, max_length=120)
    service: str | None = Field(None, max_length=120)
    author: str | None = Field(None, max_length=150)
    q: str | None = Field(None, max_length=200)
