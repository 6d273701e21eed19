"""A task's log: the beginning and the end of what it said, whatever the pieces it came in."""

import resource
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.executor.boundedlog import BoundedLog
from store.words import Words

BOUND = 64


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12))
def test_the_head_and_the_tail_are_kept(pieces):
    said = b"".join(pieces)
    with TemporaryDirectory() as folder:
        log = BoundedLog(Path(folder, "log"), BOUND)
        for piece in pieces:
            log.write(piece)
        log.close()
        kept = Path(folder, "log").read_bytes()
        assert [path.name for path in Path(folder).iterdir()] == ["log"]
    dropped = max(len(said) - BOUND, 0)
    assert log.dropped == dropped
    if not dropped:
        assert kept == said
        return
    line = f"\n[{dropped} bytes left out: at most {BOUND} are kept]\n".encode()
    assert kept == said[: BOUND // 2] + line + said[-BOUND // 2 :]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12), st.integers(1, 100))
def test_its_end_can_be_seen_while_it_grows(pieces, most):
    said = b""
    with TemporaryDirectory() as folder:
        log = BoundedLog(Path(folder, "log"), BOUND)
        for piece in pieces:
            log.write(piece)
            said += piece
            assert log.end(most) == Words(total=len(said), end=said[-min(most, BOUND // 2) :])
        log.close()


def test_a_disk_that_is_full_holds_nobody_up(tmp_path):
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = BoundedLog(tmp_path / "log")
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        log.write(b"some words")
        log.write(b"and more")
        assert log.end(100) == Words(total=18, end=b"")  # and not what came before as the newest
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.error == "File too large"


def test_notes_of_the_executor_stand_in_it(tmp_path):
    log = BoundedLog(tmp_path / "log")
    log.write(b"said\n")
    log.note("exit code 1")
    log.close()
    assert (tmp_path / "log").read_text() == "said\ncrunch-reuse: exit code 1\n"
