"""What becomes of errors at the edge: the ones that people can act on are one line and an exit code."""

from importlib import import_module
from queue import SimpleQueue

import pytest

from gateway.parts import Event, Part, Parts
from gateway.problems import _KNOWN, FAILED, REFUSED, problem_of


@pytest.mark.parametrize("name", _KNOWN)
def test_every_error_that_is_known_is_one_line(name: str) -> None:
    module, _, kind = name.rpartition(".")
    error = getattr(import_module(module), kind)
    inherited = type("More", (error,), {"__init__": lambda self: Exception.__init__(self, "two\nlines")})
    assert problem_of(inherited()) == ("two lines", _KNOWN[name])
    assert _KNOWN[name] in (FAILED, REFUSED)


def test_what_nobody_foresaw_is_not_made_to_look_known() -> None:
    assert problem_of(RuntimeError("what?")) is None


def test_a_part_that_ends_by_itself_says_so_in_one_line() -> None:
    events: SimpleQueue[Event] = SimpleQueue()
    Parts(events).start(Part("executor", lambda: None, lambda: None))
    reason, error = events.get(timeout=30)
    assert reason == "executor"
    assert error is not None
    assert problem_of(error) == ("it ended although nobody stopped it: start it again, nothing is lost", FAILED)
