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
