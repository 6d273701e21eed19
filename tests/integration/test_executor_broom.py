"""What attempts leave on the disk is taken away beside the work."""

from pathlib import Path

from consumers.executor.broom import MOST, Broom

STAYS = Path("/proc/self/task")  # nobody can remove it, root neither


def test_all_that_was_brought_is_gone_when_it_is_closed(tmp_path):
    broom = Broom()
    for number in range(3 * MOST):
        (tmp_path / str(number) / "deep").mkdir(parents=True)
        broom.remove(tmp_path / str(number))
    broom.close()
    assert list(tmp_path.iterdir()) == []
    broom.close()


def test_what_can_not_be_removed_keeps_nothing_else_from_being(tmp_path, caplog):
    (tmp_path / "good").mkdir()
    broom = Broom()
    broom.remove(STAYS)
    broom.remove(tmp_path / "good")
    broom.close()
    assert list(tmp_path.iterdir()) == []
    assert f"{STAYS} stays until the executor starts again: Operation not permitted" in caplog.text


def test_who_brings_more_when_nobody_removes_any_more_does_not_wait(tmp_path, caplog):
    broom = Broom()
    broom.close()
    for _ in range(MOST + 1):
        broom.remove(tmp_path)
    assert f"{tmp_path} stays until the executor starts again: nothing is removed any more" in caplog.text


def test_a_failure_of_any_kind_ends_nothing(tmp_path, caplog):
    (tmp_path / "good").mkdir()
    broom = Broom()
    broom.remove(str(tmp_path))  # a mistake of ours
    broom.remove(tmp_path / "good")
    broom.close()
    assert list(tmp_path.iterdir()) == []
    assert f"{tmp_path} stays until the executor starts again" in caplog.text
