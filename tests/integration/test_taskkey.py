"""The key of tasks' tokens, and the way to the API, as the configuration has them."""

import stat
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from consumers.runners.relay import Target
from coordinator.signedtoken import KEY_BYTES
from gateway.config import Config, Data, Executor
from gateway.problems import Refused
from gateway.taskkey import task_key
from gateway.wiring_parts import way_of


def config(folder, **executor):
    return Config(data=Data(dir=str(folder)), executor=Executor(**executor))


def test_a_key_is_made_once_whoever_asks_and_private(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: task_key(config(tmp_path)), range(8)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == KEY_BYTES
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert task_key(config("/nowhere", token_key=str(file))) == keys[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [("no digits", "can't be read as a key"), ("abcd", f"holds less than {KEY_BYTES} bytes"), (None, "can't be read")],
)
def test_a_file_that_is_no_key_is_named(tmp_path, content, reason):
    file = tmp_path / "key"
    file.mkdir() if content is None else file.write_text(content)
    with pytest.raises(Refused, match=rf"^executor.token_key: {file} .*{reason}"):
        task_key(config(tmp_path, token_key=str(file)))


def test_a_way_is_made_of_what_is_named(tmp_path):
    assert way_of(config(tmp_path)) is None
    away = way_of(config(tmp_path, api="api.example.org:443", keep="[::1]:25107"))
    assert (away.api, away.keep, away.insecure) == (Target("api.example.org", 443), Target("::1", 25107), False)
    assert way_of(config(tmp_path, api="127.0.0.1:8000")).insecure


@pytest.mark.parametrize("place", ["host", ":80", "host:", "host:0", "host:x", "host:70000"])
def test_a_place_that_is_none_is_refused(tmp_path, place):
    with pytest.raises(Refused, match=r"^executor.api: .* is no host:port"):
        way_of(msgspec.structs.replace(config(tmp_path), executor=Executor(api=place)))
