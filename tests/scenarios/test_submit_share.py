"""`share: by_inputs` is taken where somebody can prove reading the inputs, and refused with what to do where not."""

from pathlib import Path

import msgspec
import pytest

from gateway.config import Config
from gateway.problems import Refused
from gateway.runtime import Running
from gateway.submit import check_share
from schemas.spec import JobSpec
from tests.support.scene import task_spec

FILE = Path("job.yaml")
SHARED = JobSpec(task=task_spec(share="by_inputs"))
UP = Running(pid=1, started_at=1, dsn="", runner="bubblewrap", slots=1, cores=1, memory=1, scratch=1)
ELSEWHERE = msgspec.convert({"executor": {"api": "api.example:443"}}, Config)


@pytest.mark.parametrize(
    ("running", "config", "advice"),
    [(UP, ELSEWHERE, "set api.listen"), (None, Config(), "name the API that executors ask in executor.api")],
)
def test_without_an_api_it_is_refused_in_one_line(running: Running | None, config: Config, advice: str) -> None:
    with pytest.raises(Refused) as refused:
        check_share(FILE, SHARED, running, config)
    assert str(refused.value) == (
        f"job.yaml: share: `by_inputs` takes an API that knows who may read what: {advice}, or leave it out"
    )
    check_share(FILE, JobSpec(task=task_spec()), running, config)


def test_with_one_it_is_taken() -> None:
    check_share(FILE, SHARED, msgspec.structs.replace(UP, api="127.0.0.1:8443"), Config())
    check_share(FILE, SHARED, None, ELSEWHERE)
