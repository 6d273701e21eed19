"""Reading job files: the types of JSON and nothing else, whichever of the two languages they are written in."""

import math
from pathlib import Path

import pytest

from gateway import jobfile
from gateway.problems import Refused


def read(folder: Path, text: str | bytes, name: str = "job.yaml") -> jobfile.Description:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return jobfile.read(file)


def test_yaml_has_the_types_of_json_alone(tmp_path: Path) -> None:
    text = (
        "no: no\nday: 2020-01-31\noctal: 012\ntime: 12:30:45\nthousand: 1_000\nequals: =\n1: one\nhex: 0x1f\nempty:\n"
    )
    assert read(tmp_path, text) == {
        "no": "no",
        "day": "2020-01-31",
        "octal": "012",
        "time": "12:30:45",
        "thousand": "1_000",
        "equals": "=",
        "1": "one",
        "hex": 31,
        "empty": None,
    }


def test_yaml_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, "a: 1e5\nb: .5\nc: -3\nd: 1.\ne: .nan\nf: -.inf\n")
    assert [found[name] for name in "abcd"] == [100000.0, 0.5, -3, 1.0]
    assert math.isnan(found["e"])
    assert found["f"] == -math.inf


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "line 2: 'a' stands twice"),
        ("a:\n  b: 1\n  c: {d: 1, d: 2}\n", "line 3: 'd' stands twice"),
        ("a: &x [1]\nb: *x\n", "line 2: alias *x"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: tag"),
        ("a: !!binary aGk=\n", "line 1: tag"),
        ("? [1, 2]\n: 3\n", "line 1: a key is text"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document"),
        ("a: " + "[" * 1500 + "]" * 1500, "nested more than 64 levels deep"),
        ("a: " + "9" * 5000, "integers go to 2^53"),
        ("- 1\n", "this is a list"),
        ("", "this is empty"),
        ("a: b: c\n", "line 1: not YAML"),
        ("a: [1\n", "not YAML"),
        ("a: \x00", "not YAML"),
        (b"a: \xff", "not UTF-8 at byte 3"),
        ("a: " + "x" * 10_000_000, "larger than 1048576 bytes"),
    ],
)
def test_what_yaml_could_mean_twice_or_never_is_refused(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(Refused) as refused:
        read(tmp_path, text)
    assert told in str(refused.value)
    assert str(tmp_path / "job.yaml") in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 2}', 'the key "a" stands twice'),
        ('{"a": {"b": [1, NaN]}}', "a.b[1]: NaN is not JSON"),
        ('{"a": -Infinity}', "a: -Infinity is not JSON"),
        ('{"a": ' + "[" * 1500 + "]" * 1500 + "}", "nested more than 64 levels deep"),
        ('{"a": ' + "9" * 5000 + "}", "a: 999999999999… is an integer beyond 2^53"),
        ('{"a": "' + "x" * 10_000_000 + '"}', "larger than"),
        ("{", "not JSON at line 1"),
        ("[1]", "this is a list"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        read(tmp_path, text, "job.json")
    assert told in str(refused.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, told in ((tmp_path / "nothing.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(Refused, match=told):
            jobfile.read(path)
