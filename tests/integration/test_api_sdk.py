"""What people do with the Arvados Python SDK and its tools, done to our API by three versions of them."""

from pathlib import Path

import pytest

from tests.support.api import Site
from tests.support.arvados_sdks import JOBS, LAST_WITH_JOBS, VERSIONS
from tests.support.sdk import run_sdk, run_tool

pytestmark = pytest.mark.needs("arvados-clients")


@pytest.mark.parametrize("version", VERSIONS)
def test_it_finds_the_api_and_who_asks(api_site: Site, version: str) -> None:
    ada = api_site.person("ada")
    said = run_sdk(
        ada,
        """
        import arvados, json
        api = arvados.api("v1")
        print(json.dumps({"me": api.users().current().execute(), "keep": api.keep_services().accessible().execute()}))
        """,
        version=version,
    )
    assert said["me"]["uuid"] == ada.uuid
    assert said["keep"]["items"][0]["service_host"] == "127.0.0.1"


@pytest.mark.parametrize("version", VERSIONS)
def test_files_go_in_and_come_out(api_site: Site, version: str) -> None:
    said = run_sdk(
        api_site.person("ada"),
        """
        import arvados, arvados.collection, json
        made = arvados.collection.Collection()
        with made.open("a/first.txt", "w") as f:
            f.write("one\\n")
        with made.open("second.bin", "wb") as f:
            f.write(bytes(range(256)) * 4096 * 70)  # more than one block
        made.save_new(name="two files", ensure_unique_name=True)
        made.save_new(name="two files", ensure_unique_name=True)
        again = arvados.collection.Collection(made.manifest_locator())
        with again.open("third", "w") as f:
            f.write("3")
        again.save()
        by_uuid = arvados.CollectionReader(again.manifest_locator())
        by_hash = arvados.CollectionReader(made.portable_data_hash())
        with by_uuid.open("second.bin", "rb") as f:
            second = f.read()
        print(json.dumps({
            "uuid": again.manifest_locator(),
            "names": sorted(by_uuid) + sorted(by_hash),
            "hashes": [made.portable_data_hash(), by_hash.portable_data_hash(), by_uuid.portable_data_hash()],
            "size": len(second), "right": second == bytes(range(256)) * 4096 * 70,
            "first": by_hash.open("a/first.txt").read(),
        }))
        """,
        version=version,
    )
    assert said["names"] == ["a", "second.bin", "third", "a", "second.bin"]
    assert said["right"]
    assert said["first"] == "one\n"
    before, by_hash, after = said["hashes"]
    assert before == by_hash != after
    record = api_site.person("ada").get(f"collections/{said['uuid']}")
    assert record["portable_data_hash"] == after
    assert record["file_count"] == 3
    assert record["name"].startswith("two files (")


@pytest.mark.parametrize("version", [JOBS, LAST_WITH_JOBS])
def test_the_writer_of_2014_packs_files_and_gets_a_locator(api_site: Site, version: str) -> None:
    said = run_sdk(
        api_site.person("ada"),
        """
        import arvados, json
        out = arvados.CollectionWriter()
        out.start_new_file("count.txt")
        out.write("17 lines\\n")
        out.start_new_stream("sub")
        out.start_new_file("x")
        out.write("x" * 1000)
        pdh = out.finish()
        back = arvados.CollectionReader(out.manifest_text())
        print(json.dumps({"pdh": pdh, "text": back.open("count.txt").read(), "x": len(back.open("sub/x").read())}))
        """,
        version=version,
    )
    assert said["text"] == "17 lines\n"
    assert said["x"] == 1000


def test_what_another_may_not_read_is_not_there(api_site: Site) -> None:
    made = run_sdk(
        api_site.person("ada"),
        """
        import arvados.collection, json
        made = arvados.collection.Collection()
        with made.open("secret", "w") as f:
            f.write("between us")
        made.save_new(name="not for others")
        print(json.dumps([made.manifest_locator(), made.portable_data_hash(), made.manifest_text()]))
        """,
    )
    said = run_sdk(
        api_site.person("ben"),
        """
        import arvados, arvados.errors, json, sys
        refused = []
        for name in sys.argv[1:3]:
            try:
                arvados.CollectionReader(name).manifest_text()
            except Exception as error:
                refused.append(str(error))
        try:
            arvados.CollectionReader(sys.argv[3]).open("secret").read()
        except Exception as error:
            refused.append(type(error).__name__)
        print(json.dumps(refused))
        """,
        *made,
    )
    assert len(said) == 3
    assert all("404" in text or "not found" in text.lower() or "Error" in text for text in said), said
    assert "between us" not in str(said)


@pytest.mark.parametrize("version", VERSIONS)
def test_arv_put_arv_ls_and_arv_get(api_site: Site, tmp_path: Path, version: str) -> None:
    ada = api_site.person("ada")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "one.txt").write_text("one")
    (tmp_path / "in" / "sub" / "two.txt").write_text("two")
    name = ("--name", f"put by {version}")
    put = run_tool(ada, "arv-put", "--no-progress", *name, "in/", folder=tmp_path, version=version)
    assert put.returncode == 0, put.stderr
    uuid = put.stdout.strip()
    assert ada.get(f"collections/{uuid}")["name"].startswith(name[1])
    listed = run_tool(ada, "arv-ls", uuid, folder=tmp_path, version=version)
    assert listed.stdout.split() == ["./one.txt", "./sub/two.txt"], listed.stderr
    (tmp_path / "out").mkdir()
    got = run_tool(ada, "arv-get", "--no-progress", f"{uuid}/", "out/", folder=tmp_path, version=version)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "out" / "sub" / "two.txt").read_text() == "two"
