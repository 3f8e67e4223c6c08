"""plate under Helm: its catalog loads over the examples, and its charts are there."""

from pathlib import Path

from portal.integrations.helm.charts import read_chart
from releases.catalog.documents import read
from releases.catalog.operations import check_documents
from tests.catalog.conftest import EXAMPLES

OVER = EXAMPLES.parent / "examples-helm"


def test_plate_under_helm_is_in_order_over_the_examples() -> None:
    base, problems = read(EXAMPLES)
    found, more = read(OVER)
    assert problems + more == []
    names = {(each.kind, each.name) for each in found}
    kept = [each for each in base if (each.kind, each.name) not in names]
    assert check_documents([*kept, *found], {}) == []


def test_every_chart_it_names_is_there_and_renders_what_the_catalog_watches() -> None:
    services = [each for each in read(OVER)[0] if each.kind == "Service"]
    assert len(services) == 4
    for service in services:
        chart = read_chart(str(OVER), service.spec["helm"]["chart"])
        [workload] = service.spec["workloads"]
        text = b"".join(chart.files.values()).decode()
        assert f"kind: {workload['kind']}\nmetadata:\n  name: {workload['name']}\n" in text
        assert Path(chart.name).name == service.spec["helm"]["release"]
