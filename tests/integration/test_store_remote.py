"""An executor on a machine that shares no folder has its content from the API's Keep, by a token for nothing else."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gateway.content import store_of
from store.errors import StoreUnreachable
from store.keep import Cluster, KeepBlocks
from store.words import LONGEST, Words
from tests.support.api import Person, Site, site
from tests.support.crunch import Crunch, done

FOO = "acbd18db4cc2f85cedef654fccc4a4d8"
NAME = "0123456789abcdef"


@pytest.fixture(scope="module")
def far_site() -> Iterator[Site]:
    with site("--no-dispatch") as made:
        made.person("operator", is_admin=True)
        yield made


def token_for(made: Site, user: str, scope: str) -> Person:
    created = made.crunch.run("token", "create", "--user", user, "--scope", scope, "--json").json
    return Person(made, created["user"], created["token"])


def block(person: Person, verb: str, name: str, **options: object) -> requests.Response:
    return person.session.request(verb, f"https://{person.site.address}/{name}", **options)


def test_a_token_of_scope_store_opens_all_blocks_and_nothing_else(far_site: Site) -> None:
    far_site.person("ada")
    machine = token_for(far_site, "operator", "store")
    signed = block(machine, "PUT", FOO, data=b"foo").text.strip()
    assert signed.startswith(f"{FOO}+3+A")
    assert block(machine, "GET", f"{FOO}+3").content == b"foo"
    assert block(machine, "HEAD", f"{FOO}+3").status_code == 200
    assert machine.ask("GET", "keep_services/accessible").status_code == 200
    for path in ("jobs", "users/current", "collections", f"collections/{FOO}+3"):
        assert machine.ask("GET", path).status_code == 403, path
    for other in (token_for(far_site, "ada", "store"), far_site.person("operator")):
        assert block(other, "GET", f"{FOO}+3").status_code == 403
        for verb in ("GET", "PUT", "DELETE"):
            assert block(other, verb, f"words/{NAME}", data=b"3\nfoo").status_code == 403, verb
    machine.session.close()


def test_words_of_tasks_go_there_and_are_taken_back(far_site: Site) -> None:
    machine = token_for(far_site, "operator", "store")
    cluster = Cluster(f"https://{far_site.address}", machine.token, str(far_site.certificate))
    words, there = KeepBlocks(cluster).words, store_of(far_site.crunch.session().folders).blocks.words
    assert words.get(NAME) is None
    for said in (Words(total=3, end=b"foo"), Words(total=9, end=b"\n\xff\x1b")):
        words.put(NAME, said)
        assert words.get(NAME) == there.get(NAME) == said
    for _ in range(2):
        words.remove(NAME)
        assert there.get(NAME) is None
    for name, body, status in (
        ("..%2f..%2fx", b"3\nfoo", 404),
        (NAME.upper(), b"3\nfoo", 404),
        (NAME, b"foo", 422),
        (NAME, b"9" * 5_000 + b"\nfoo", 422),
        (NAME, b"3\n" + b"x" * LONGEST, 413),
    ):
        assert block(machine, "PUT", f"words/{name}", data=body).status_code == status, (name, status)
    machine.session.close()
    with pytest.raises(StoreUnreachable, match="it refuses our token"):
        KeepBlocks(cluster._replace(token="x" * 50)).words.put(NAME, said)


def test_it_runs_tasks_on_inputs_that_it_has_from_there_and_what_they_say_is_heard(
    far_site: Site, tmp_path: Path
) -> None:
    machine = token_for(far_site, "operator", "store")
    (tmp_path / "token").write_text(machine.token)
    settings = {
        "postgres.dsn": far_site.dsn,
        "store.url": f"https://{far_site.address}",
        "store.token": str(tmp_path / "token"),
        "store.certificate": str(far_site.certificate),
        "executor.node": "far",
        "executor.runner": "process",
    }
    far = Crunch(tmp_path / "home", tmp_path / "data", settings)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").write_text("from afar\n")
    os.mkfifo(tmp_path / "go")
    command = f"cat $TASK_INPUTS/in/x > $TASK_OUTPUT/y; echo seen; cat {tmp_path}/go"
    (tmp_path / "job.json").write_text(json.dumps({"name": "copy", "command": command, "inputs": {"in": "in"}}))
    with far.start("executor", "--json") as executor:
        assert executor.stdout
        try:
            assert executor.stdout.readline(), done(executor)
            root = far_site.crunch.submit(tmp_path / "job.json")
            following = far_site.crunch.start("log", far_site.crunch.until_running(root).task, "--follow")
            assert following.stdout
            assert following.stdout.readline() == "seen\n"
            (tmp_path / "go").write_text("heard\n")
            assert done(following).out == "heard\n"
            assert far_site.crunch.until_state(root, "complete", "failed").state == "complete"
        finally:
            executor.terminate()
            print(done(executor).err)
    got = far_site.crunch.run("get", root, str(tmp_path / "out"))
    assert got.code == 0, got.err
    assert (tmp_path / "out" / "y").read_text() == "from afar\n"
    assert not (tmp_path / "data" / "store").exists()


def test_who_serves_content_has_it_in_a_folder(tmp_path: Path) -> None:
    crunch = Crunch(tmp_path / "home", tmp_path / "data", {"store.url": "https://127.0.0.1:1", "store.token": "x"})
    refused = done(crunch.start("up"))
    assert refused.code != 0
    assert "store.url: who serves content has it in a folder" in refused.err
