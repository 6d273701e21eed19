"""What a sandbox shows as /etc: as it is on the host now, whoever makes the copy, and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumers.runners import etc
from consumers.runners.etc import Etc


@pytest.fixture
def host(tmp_path: Path) -> Path:
    made = tmp_path / "host"
    (made / "perl" / "Net").mkdir(parents=True)
    (made / "perl" / "Net" / "libnet.cfg").write_text("one")
    (made / "alternatives").mkdir()
    (made / "alternatives" / "awk").symlink_to("/usr/bin/mawk")
    (made / "ld.so.cache").write_bytes(b"cache")
    (made / "shadow").write_text("nobody's business")
    return made


def test_it_has_the_few_settings_that_programs_need_and_accounts_of_its_own(host: Path, tmp_path: Path) -> None:
    made = Etc(tmp_path / "etc", host).folder()
    assert sorted(path.name for path in made.iterdir()) == [
        "alternatives", "group", "hosts", "ld.so.cache", "passwd", "perl",
    ]  # fmt: skip
    assert (made / "perl" / "Net" / "libnet.cfg").read_text() == "one"
    assert (made / "alternatives" / "awk").readlink() == Path("/usr/bin/mawk")
    assert made.stat().st_mode & 0o777 == 0o755


def test_what_changes_on_the_host_is_shown_before_long_and_nothing_is_copied_twice(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Etc(tmp_path / "etc", host)
    first = shown.folder()
    assert Etc(tmp_path / "etc", host).folder() == first
    (host / "perl" / "Net" / "libnet.cfg").write_text("other")
    assert shown.folder() == first
    monkeypatch.setattr(etc, "LOOK", -1.0)
    second = shown.folder()
    assert second != first
    assert (second / "perl" / "Net" / "libnet.cfg").read_text() == "other"
    assert (first / "perl" / "Net" / "libnet.cfg").read_text() == "one", "who runs keeps what it was shown"


def test_many_may_make_it_at_once(host: Path, tmp_path: Path) -> None:
    makers = [Etc(tmp_path / "etc", host) for _ in range(20)]
    with ThreadPoolExecutor(len(makers)) as pool:
        assert len(set(pool.map(Etc.folder, makers))) == 1
    assert len(list((tmp_path / "etc").iterdir())) == 1
