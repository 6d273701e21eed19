"""The configuration file and its overrides: what counts, and how a mistake is told."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from gateway import config
from gateway.problems import Refused


def crunch(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRUNCH_REUSE_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=clean | {"HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_defaults_count_where_there_is_no_file(tmp_path: Path) -> None:
    done = crunch("config", "show", "--json", home=tmp_path)
    shown = orjson.loads(done.stdout)
    assert shown["file"] is None
    assert set(shown["origins"].values()) == {"default"}
    assert shown["values"]["executor.runner"] == "auto"


def test_file_environment_and_option_override_in_this_order(tmp_path: Path) -> None:
    file = written(
        tmp_path, '[executor]\nslots = 2\nnode = "from-file"\npool = "from-file"\n[data]\ndir = "/from-file"\n'
    )
    environment = {"CRUNCH_REUSE_EXECUTOR_NODE": "from-environment", "CRUNCH_REUSE_DATA_DIR": "/from-environment"}
    loaded = config.load(file, environment, {"data.dir": "/from-option", "executor.slots": None})
    found = {f"{each.section}.{each.key}": (each.value, each.source) for each in loaded.settings}
    assert found["executor.slots"] == (2, "file")
    assert found["executor.pool"] == ("from-file", "file")
    assert found["executor.node"] == ("from-environment", "environment")
    assert found["data.dir"] == ("/from-option", "option")
    assert found["executor.runner"] == ("auto", "default")


def test_what_show_prints_is_a_file_that_check_accepts(tmp_path: Path) -> None:
    shown = crunch("config", "show", "--data-dir", '/a "quoted" \\ folder', home=tmp_path)
    file = written(tmp_path, shown.stdout)
    assert crunch("config", "check", str(file), home=tmp_path).returncode == 0
    assert config.load(file, {}).config.data.dir == '/a "quoted" \\ folder'


@pytest.mark.parametrize(
    "dsn", ["postgresql://me:secret@host/db", "host=h password=secret user=me", "host=h password='secret' user=me"]
)
def test_a_password_is_not_shown(tmp_path: Path, dsn: str) -> None:
    for options in ([], ["--json"]):
        shown = crunch("config", "show", *options, home=tmp_path, CRUNCH_REUSE_POSTGRES_DSN=dsn)
        assert "***" in shown.stdout
        assert "secret" not in shown.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[executor]\nslotz = 3\n", "unknown key executor.slotz: did you mean slots?"),
        ("[executer]\nslots = 3\n", "unknown section [executer]: did you mean executor?"),
        ("executor = 3\n", "executor is a section"),
        ("[executor]\nslots = -1\n", "executor.slots: Expected `int` >= 0"),
        ('[executor]\nslots = "many"\n', "executor.slots: Expected `int`, got `str`"),
        ('[executor]\nrunner = "dokcer"\n', "executor.runner: Invalid enum value 'dokcer': one of auto, docker"),
        ("[executor\n", "not TOML"),
        ("[executor]\nslots = 1\nslots = 2\n", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(tmp_path: Path, text: str, told: str) -> None:
    file = written(tmp_path, text)
    done = crunch("config", "check", str(file), home=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert told in done.stderr
    assert str(file) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("CRUNCH_REUSE_EXECUTOR_SLOTZ", "1", "CRUNCH_REUSE_EXECUTOR_SLOTZ sets nothing: did you mean slots?"),
        ("CRUNCH_REUSE_EXECUTOR_SLOTS", "two", "CRUNCH_REUSE_EXECUTOR_SLOTS: 'two' is not a whole number"),
        ("CRUNCH_REUSE_EXECUTOR_SLOTS", "-2", "CRUNCH_REUSE_EXECUTOR_SLOTS: executor.slots: Expected `int` >= 0"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(variable: str, value: str, told: str) -> None:
    with pytest.raises(Refused, match="environment") as refused:
        config.load(None, {variable: value})
    assert told in str(refused.value)


def test_variables_of_the_run_script_are_no_settings() -> None:
    environment = {"CRUNCH_REUSE_VENV": "/x", "CRUNCH_REUSE_PYTHON": "python3"}
    assert config.load(None, environment).config == config.Config()


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    done = crunch("--config", str(tmp_path / "missing.toml"), "config", "show", home=tmp_path)
    assert done.returncode == 3
    assert "missing.toml: No such file or directory" in done.stderr
