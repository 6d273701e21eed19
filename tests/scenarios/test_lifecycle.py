"""The lifecycle tables are complete, and the diagram in the docs is theirs."""

import typing
from pathlib import Path

import pytest

from coordinator.lifecycle import FINAL, JOB, TASK, InvalidTransition, mermaid, next_job, next_task
from schemas.facts import JobState, TaskState

DOCS = Path(__file__).parents[2] / "docs" / "architecture.md"


@pytest.mark.parametrize(("table", "states"), [(TASK, TaskState), (JOB, JobState)])
def test_every_state_of_the_schema_has_its_line_and_leads_to_states_that_exist(table, states):
    assert set(table) == set(typing.get_args(states))
    assert {after for events in table.values() for after in events.values()} <= set(table)


@pytest.mark.parametrize("table", [TASK, JOB])
def test_every_state_can_be_reached_and_an_end_can_be_reached_from_it(table):
    first = next(iter(table))
    reached, ahead = {first}, [first]
    while ahead:
        for after in table[ahead.pop()].values():
            if after not in reached:
                reached.add(after)
                ahead.append(after)
    assert reached == set(table)
    assert {state for state in table if not table[state]} <= FINAL


def test_what_the_table_does_not_have_stops_the_machine_and_says_what_it_was_doing():
    with pytest.raises(InvalidTransition, match="task t1 is complete: `copy` can't happen to it"):
        next_task("complete", "copy", "t1")
    with pytest.raises(InvalidTransition, match="job j1 is failed"):
        next_job("failed", "cancel", "j1")


def test_the_diagram_in_the_docs_is_the_table():
    assert mermaid(TASK) in DOCS.read_text()
