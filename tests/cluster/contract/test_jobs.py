"""Jobs end: well, badly, or at their deadline, and the condition says which."""

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, condition, cron_job, failing, job, wait_for


def test_a_job_that_succeeds_is_complete(space: Space) -> None:
    space.create(job("migrate"))
    seen = space.wait("jobs", "migrate", lambda seen: condition(seen, "Complete"))
    assert condition(seen, "Complete")["status"] == "True"
    assert seen["status"]["succeeded"] == 1
    assert seen["status"]["startTime"] <= seen["status"]["completionTime"]
    assert condition(seen, "Failed") == {}


def test_a_job_whose_pod_fails_has_failed(space: Space) -> None:
    annotations = failing("Exit", after="300ms", exit_code="3", message="bad schema")
    space.create(job("migrate", pod_annotations=annotations))
    seen = space.wait("jobs", "migrate", lambda seen: condition(seen, "Failed"))
    failed = condition(seen, "Failed")
    assert (failed["status"], failed["reason"]) == ("True", "BackoffLimitExceeded")
    assert seen["status"]["failed"] == 1
    [pod] = _pods(space)
    [status] = pod["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (pod["status"]["phase"], ended["exitCode"], ended["message"]) == ("Failed", 3, "bad schema")


def test_a_job_that_cannot_start_stays_active_until_its_deadline(space: Space) -> None:
    annotations = failing("CreateContainerConfigError")
    space.create(job("migrate", pod_annotations=annotations, activeDeadlineSeconds=2))
    active = space.wait("jobs", "migrate", lambda seen: seen.get("status", {}).get("active"))
    assert condition(active, "Failed") == {}
    seen = space.wait("jobs", "migrate", lambda seen: condition(seen, "Failed"))
    assert condition(seen, "Failed")["reason"] == "DeadlineExceeded"
    wait_for(lambda: not _pods(space), what="the job's pod to go")


def test_the_pods_of_a_job_carry_its_name(space: Space) -> None:
    made = space.create(job("migrate", pod_annotations=failing("NeverReady")))
    [pod] = wait_for(lambda: _pods(space), what="the job's pod")
    labels = pod["metadata"]["labels"]
    assert (labels["batch.kubernetes.io/job-name"], labels["job-name"]) == ("migrate", "migrate")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert pod["spec"]["restartPolicy"] == "Never"


def test_deleting_a_job_leaves_its_pods_as_orphans(space: Space) -> None:
    space.create(job("migrate", pod_annotations=failing("NeverReady")))
    wait_for(lambda: _pods(space), what="the job's pod")
    space.delete("jobs", "migrate")
    wait_for(lambda: not space.find("jobs"), what="the job to go")
    [pod] = _pods(space)
    [orphan] = wait_for(
        lambda: [each for each in _pods(space) if not each["metadata"].get("ownerReferences")],
        what="the pod to be an orphan",
    )
    assert orphan["metadata"]["uid"] == pod["metadata"]["uid"]


def test_deleting_a_job_in_the_background_takes_its_pods(space: Space) -> None:
    space.create(job("migrate", pod_annotations=failing("NeverReady")))
    wait_for(lambda: _pods(space), what="the job's pod")
    space.delete("jobs", "migrate", propagationPolicy="Background")
    wait_for(lambda: not space.find("jobs"), what="the job to go")
    wait_for(lambda: not _pods(space), what="the job's pod to go")
    assert _pods(space) == [], "none is made anew"


def test_a_name_is_given_to_one_job_only_even_when_the_same_is_asked_again(space: Space) -> None:
    made = space.create(job("migrate"))
    with pytest.raises(Refused) as refused:
        space.create(job("migrate"))
    assert (refused.value.code, refused.value.reason) == (409, "AlreadyExists")
    assert space.get("jobs", "migrate")["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_dry_run_makes_no_job_and_checks_it(space: Space) -> None:
    space.create(job("migrate"), dryRun="All", fieldValidation="Strict")
    assert space.find("jobs") == []
    with pytest.raises(Refused) as refused:
        space.create(job("migrate", retries=1), dryRun="All", fieldValidation="Strict")
    assert refused.value.code in {400, 422}


def test_a_cron_job_at_rest_keeps_its_template_and_makes_nothing(space: Space) -> None:
    space.create(cron_job("migrate"))
    seen = space.get("cronjobs", "migrate")
    [container] = seen["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "web"
    assert space.find("jobs") == []


def _pods(space: Space) -> list[Json]:
    found = space.find("pods", labelSelector="job-name=migrate")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
