"""Who may read a task reads what it says while it runs: at the command line and on its page; nobody else does."""

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from msgspec import structs

from consumers.executor.boundedlog import BoundedLog
from gateway.client import Client
from gateway.content import said_so_far, store_of
from gateway.problems import REFUSED
from gateway.session import Session
from gateway.words import Following, Page
from readmodel import queries
from readmodel.rows import Task
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.words import KEPT, MOST, Words, name_of
from tests.support.api import Person, Site
from tests.support.crunch import done
from tests.support.window import Window

# No word of it stands in its command, which is on its page too.
HOSTILE = r"printf '\033[2J\033]0;title\007\074b\076\377\n'"
SAYS = "echo fir''st; cat {gate}; {hostile}; cat {gate}; echo la''st"
EVENTS = 600  # lines of a live page that are waited for at most


class Talk:
    """A task that says something, waits at the gate, says more, waits again, and ends."""

    def __init__(self, site: Site, folder: Path, owner: Person) -> None:
        self.site = site
        self.owner = owner
        self._gate = folder / "gate"
        os.mkfifo(self._gate)
        file = folder / "job.json"
        file.write_text(json.dumps({"command": SAYS.format(gate=self._gate, hostile=HOSTILE), "timeout": "5m"}))
        self.root = site.crunch.submit(file, "--as", "wim")
        self.task = site.crunch.until(self._running).task

    def found(self) -> Task:
        with Client(self.site.crunch.session()) as client:
            found = queries.task(client.rows, self.owner.uuid, self.task)
        assert found
        return found

    def go_on(self) -> None:
        """Waits for it to be at the gate."""
        self._gate.write_text("")

    def _running(self, client: Client) -> Task | None:
        tasks = queries.tree(client.rows, self.owner.uuid, self.root)
        return next((task for task in tasks if task.state == "running"), None)


@pytest.fixture
def talk(api_site: Site, tmp_path: Path) -> Iterator[Talk]:
    made = Talk(api_site, tmp_path, api_site.person("wim"))
    yield made
    assert api_site.crunch.run("cancel", made.root, "--as", "wim").code in (0, REFUSED)  # it may have ended


def test_words_are_read_while_they_are_said(api_site: Site, talk: Talk) -> None:
    crunch, page = api_site.crunch, Window(api_site, talk.owner)
    following = crunch.start("log", talk.task, "--follow", "--as", "wim", errors="replace")
    assert following.stdout
    assert following.stdout.readline() == "first\n"
    shown = page.get(f"/tasks/{talk.task}.json").json()["log"]
    assert shown == {"text": "first\n", "size": 6, "is_whole": True, "trouble": ""}
    assert talk.owner.session.get(f"{page.origin}/tasks/{talk.task}.json").json()["log"] == shown
    assert "It goes on." in page.get(f"/tasks/{talk.task}").text
    so_far = crunch.run("log", talk.task, "--as", "wim")
    assert so_far.out == "first\n"
    assert "the last 6 of 6 bytes so far" in so_far.err

    with page.get(f"/tasks/{talk.task}.live", stream=True) as live:
        events = live.iter_lines()
        assert b"first" in next(line for line in events if line.startswith(b"data:"))
        talk.go_on()
        assert any(b"&lt;b&gt;" in line for line in islice(events, EVENTS))
    assert following.stdout.readline().startswith("\x1b[2J")  # to no terminal: as it is
    assert page.get(f"/tasks/{talk.task}.json").json()["log"]["text"] == "first\n<b>\N{REPLACEMENT CHARACTER}\n"
    assert "&lt;b&gt;" in page.get(f"/tasks/{talk.task}").text
    talk.go_on()
    ended = done(following)
    assert (ended.code, ended.out) == (0, "last\n")
    whole = crunch.run("log", talk.task, "--as", "wim", errors="replace")
    assert whole.out.splitlines()[-1] == "last"
    assert crunch.run("log", talk.task, "--follow", "--as", "wim", errors="replace").out == whole.out
    page.close()


def test_who_may_not_read_the_task_reads_no_word_of_it(api_site: Site, talk: Talk) -> None:
    yan, crunch = api_site.person("yan"), api_site.crunch
    following = crunch.start("log", talk.task, "--follow", "--as", "wim")
    assert following.stdout
    assert following.stdout.readline() == "first\n"
    for options in ((), ("--follow",)):
        refused = crunch.run("log", talk.task, "--as", "yan", *options)
        assert (refused.code, refused.out, refused.err) == (
            REFUSED,
            "",
            f"crunch-reuse: task: you see no {talk.task}\n",
        )
    page = Window(api_site, yan)
    assert page.get(f"/tasks/{talk.task}.json").status_code == 404
    page.close()
    following.terminate()
    done(following)


def test_only_words_under_the_token_that_counts_are_the_task_s(api_site: Site, talk: Talk) -> None:
    """One whose work was given away goes on saying things, and somebody else executes the task."""
    store, found = store_of(api_site.crunch.session().folders), talk.found()
    words = store.blocks.words
    words.put(name_of("of a zombie"), Words(total=3, end=b"boo"))
    for other in ({"state": "claimed"}, {"state": "todo"}, {"token": None}, {"log": "x"}):
        assert said_so_far(store, structs.replace(found, **other)) is None
    assert said_so_far(store, structs.replace(found, token="of a zombie")) == Words(total=3, end=b"boo")
    words.remove(name_of("of a zombie"))


def test_who_follows_is_told_what_is_left_out_and_that_all_is_said_once_more(
    api_site: Site, talk: Talk, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    session, found = api_site.crunch.session(), talk.found()
    store = store_of(session.folders)
    following = Following(session, store)
    first, second = f"first {tmp_path}", f"second {tmp_path}"
    for token, words in (
        (first, Words(total=6, end=b"hello\n")),
        (first, Words(total=6, end=b"hello\n")),
        (first, Words(total=106, end=b"world\n")),
        (second, Words(total=5, end=b"anew\n")),
    ):
        store.blocks.words.put(name_of(token), words)
        following.look(structs.replace(found, token=token))
    (tmp_path / "log").write_text("anew\nand the end\n")
    log = store.save_files({"log": tmp_path / "log"}).portable_data_hash
    following.end(structs.replace(found, token=second, state="complete", log=log))
    told = capsysbinary.readouterr()
    assert told.out == b"hello\nworld\nanew\nand the end\n"
    left_out, once_more = told.err.decode().splitlines()
    assert left_out.startswith("94 bytes are left out here")
    assert once_more == "it is executed once more"
    for token in (first, second):
        store.blocks.words.remove(name_of(token))


@pytest.mark.parametrize(
    ("size", "told", "begins"),
    [
        (KEPT, KEPT // 2, KEPT // 2),
        (KEPT, KEPT // 2 + 1, KEPT // 2 + 1),
        (KEPT, KEPT, KEPT),
        (KEPT + 9, KEPT // 2 + 1, KEPT + 9 - MOST),
    ],
)
def test_who_follows_has_the_last_words(
    size: int, told: int, begins: int, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A log of 16 MiB is whole; what is left out of a longer one leaves no place to go on from."""
    said = bytes(size - 9) + b"the end.\n"
    kept = BoundedLog(tmp_path / "kept")
    kept.write(said)
    kept.close()
    store = CollectionStore(BlockStore.create(tmp_path / "store"))
    log = store.save_files({"log": kept.path}).portable_data_hash
    running = Task(**dict.fromkeys(Task.__struct_fields__, "") | {"state": "running", "token": str(tmp_path)})
    store.blocks.words.put(name_of(str(tmp_path)), Words(total=told, end=b""))
    following = Following(Session(), store)
    following.look(running)
    following.end(structs.replace(running, state="complete", log=log))
    shown = capsysbinary.readouterr()
    assert shown.out == said[begins:]
    assert (b"its last 65536 bytes follow" in shown.err) == (size > KEPT)


def test_a_terminal_is_not_steered(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb") as shown, os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        page = Page()
        page.put_all(iter([b"\x1b[2Jred\xe2\x82", b"\xac \xff\x07 \x1b]0;title\x07.\n"]))
        assert shown.readline().decode() == "red\u20ac \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} .\r\n"
