"""The bundle installs on a machine without a network, and says what it is made of."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

BUNDLE = CHECKOUT / ".ci" / "bundle.py"
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    made = subprocess.run([sys.executable, BUNDLE, folder], capture_output=True, text=True, cwd=folder)
    assert made.returncode == 0, made.stderr
    subprocess.run(["tar", "--no-same-owner", "-xf", made.stdout.strip()], cwd=folder, check=True)
    [unpacked] = [path for path in folder.iterdir() if path.is_dir()]
    return unpacked


def test_it_installs_and_runs_without_a_network(bundle: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    environment = clean | NO_NETWORK | {"HOME": str(tmp_path)}
    done = subprocess.run([bundle / "install", tmp_path / "here"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    crunch = tmp_path / "here" / "bin" / "crunch-reuse"
    said = subprocess.run([crunch, "config", "show"], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    views = subprocess.run([tmp_path / "here" / "bin" / "python", "-c", "import streams.views"], env=environment)
    assert views.returncode == 0


def test_a_file_that_was_changed_is_not_installed(bundle: Path, tmp_path: Path) -> None:
    bill = bundle / "sbom.json"
    content = bill.read_text()
    try:
        bill.write_text(content.replace("msgspec", "msgspecs"))
        done = subprocess.run([bundle / "install", tmp_path / "here"], capture_output=True, text=True)
    finally:
        bill.write_text(content)
    assert done.returncode != 0
    assert not (tmp_path / "here").exists()


def test_the_bill_of_materials_names_every_wheel_with_its_digest(bundle: Path) -> None:
    bill = json.loads((bundle / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    named = {component["hashes"][0]["content"]: component["name"] for component in bill["components"]}
    listed = [line.split() for line in (bundle / "SHA256SUMS").read_text().splitlines()]
    wheels = {digest for digest, name in listed if name.endswith(".whl")}
    assert named.keys() == wheels
    assert {"msgspec", "psycopg", "confluent-kafka"} <= set(named.values())
    licensed = [component for component in bill["components"] if component.get("licenses")]
    assert len(licensed) > len(bill["components"]) / 2


# --- What keeps it from being made ------------------------------------------------------------------------------------


def refusal(*command: str | Path, **environment: str) -> str:
    """The one line that a command says which makes no bundle."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 1, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line


def on_small_disk(disk: Path, *command: str | Path) -> list[str | Path]:
    """The command where `disk` is one of a MiB, of which nothing is left afterwards."""
    left = f'"$@"; code=$?; [ -z "$(ls -A {disk})" ] || exit 99; exit $code'
    inside: list[str | Path] = ["bwrap", "--dev-bind", "/", "/", "--size", str(2**20), "--tmpfs", disk]
    return [*inside, "sh", "-c", left, "sh", *command]


def test_a_bundle_that_is_there_stays_as_it_is(bundle: Path) -> None:
    [archive] = bundle.parent.glob("*.tar.gz")
    before = archive.stat()
    line = refusal(sys.executable, BUNDLE, bundle.parent)
    assert line == f"bundle: {archive} is there already: move it away, or name another folder"
    assert archive.stat() == before
    assert set(bundle.parent.iterdir()) == {archive, bundle}


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    line = refusal(sys.executable, BUNDLE, tmp_path / "file")
    assert line == f"bundle: can't write into {tmp_path}/file: File exists; name another folder"
    line = refusal(sys.executable, BUNDLE, tmp_path / "file" / "below")
    assert line == f"bundle: can't write into {tmp_path}/file/below: Not a directory; name another folder"


@pytest.mark.needs("bubblewrap")
def test_a_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    inside = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", tmp_path, tmp_path]
    line = refusal(*inside, sys.executable, BUNDLE, tmp_path)
    assert line == f"bundle: can't write into {tmp_path}: Read-only file system; name another folder"


def test_without_a_network_nothing_is_left(tmp_path: Path) -> None:
    for name in ("target", "scratch"):
        (tmp_path / name).mkdir()
    alone = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}
    nowhere = {"PIP_FIND_LINKS": str(tmp_path), "PIP_EXTRA_INDEX_URL": "", "TMPDIR": str(tmp_path / "scratch")}
    line = refusal(sys.executable, BUNDLE, tmp_path / "target", **NO_NETWORK, **alone, **nowhere)
    assert line.startswith("bundle: pip can't fetch what is required (is there a network, and room?): ")
    assert "Connection refused" in line
    assert list((tmp_path / "target").iterdir()) == []
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.needs("bubblewrap")
def test_a_full_disk_for_what_is_fetched_is_said(tmp_path: Path) -> None:
    disk, target = tmp_path / "disk", tmp_path / "target"
    disk.mkdir()
    line = refusal(*on_small_disk(disk, sys.executable, BUNDLE, target), TMPDIR=str(disk))
    assert line.startswith("bundle: pip can't fetch what is required (is there a network, and room?): ")
    assert line.endswith("No space left on device")
    assert list(target.iterdir()) == []


PACKED = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import bundle
try:
    with bundle.appearing(Path(sys.argv[2])) as partial:
        bundle.pack(Path(sys.argv[1]), partial)
except bundle.NoBundle as error:
    sys.exit(f"bundle: {{error}}")
"""


@pytest.mark.needs("bubblewrap")
def test_a_full_disk_for_the_archive_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    disk, folder = tmp_path / "disk", tmp_path / "folder"
    disk.mkdir()
    folder.mkdir()
    (folder / "wheel").write_bytes(os.urandom(2**21))
    packed = [sys.executable, "-B", "-c", PACKED.format(folder=str(BUNDLE.parent)), folder, disk / "x.tar.gz"]
    line = refusal(*on_small_disk(disk, *packed))
    said = "No space left on device; make room, or name another folder"
    assert line == f"bundle: can't write the archive into {disk}: {said}"
