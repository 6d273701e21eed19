"""The rules of the house that no linter holds: lengths, one door to each driver, no mocks, no sleeps."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CORE = ("schemas", "coordinator")
OTHERS = ("streams", "store", "readmodel", "consumers", "gateway", "bench", "tests", "examples")
SOURCES = sorted(path for folder in CORE + OTHERS for path in (CHECKOUT / folder).rglob("*.py"))
TESTS = [path for path in SOURCES if path.relative_to(CHECKOUT).parts[0] == "tests"]

LONGEST_FUNCTION = 50
LONGEST_CORE_MODULE = 250
LONGEST_MODULE = 400


def _name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_a_module_can_be_read_in_one_sitting() -> None:
    lengths = {_name(path): len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    too_long = {name: length for name, length in lengths.items() if length > _longest(name)}
    assert too_long == {}


def _longest(name: str) -> int:
    return LONGEST_CORE_MODULE if name.split("/")[0] in CORE else LONGEST_MODULE


def test_a_function_can_be_seen_whole() -> None:
    too_long = {
        f"{_name(path)}:{node.lineno} {node.name}": length
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert too_long == {}


@pytest.mark.parametrize(("driver", "door"), [("docker", "consumers/runners/docker.py"), ("faust", "streams/views.py")])
def test_one_file_speaks_to_each(driver: str, door: str) -> None:
    contenders = CHECKOUT / "bench/contenders"  # what others would have built, with what they build it with
    application = [path for path in SOURCES if path not in TESTS and contenders not in path.parents]
    doors = [_name(path) for path in application if any(name.split(".")[0] == driver for name in _imports(path))]
    assert doors == [door]


def test_tests_use_no_mocks() -> None:
    allowed = CHECKOUT / "tests/support/mutations.py"  # breaks one rule of the shipped code at a time, to see it caught
    mocking = [_name(path) for path in TESTS if path != allowed and "unittest.mock" in _imports(path)]
    assert mocking == []


def test_tests_wait_for_signals_and_never_sleep() -> None:
    sleeping = [
        f"{_name(path)}:{node.lineno}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"
    ]
    assert sleeping == []
