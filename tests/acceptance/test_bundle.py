"""The bundle installs on a machine without a network, and says what it is made of."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    made = subprocess.run(
        [sys.executable, CHECKOUT / ".ci" / "bundle.py", folder], capture_output=True, text=True, cwd=folder
    )
    assert made.returncode == 0, made.stderr
    with tarfile.open(made.stdout.strip()) as archive:
        archive.extractall(folder, filter="data")
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
