"""Keep over HTTP: blocks in and out, signed for one token, in constant memory; and the collections made of them."""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from gateway.api.signing import Signer
from tests.support.api import Person, Site

EMPTY = "d41d8cd98f00b204e9800998ecf8427e+0"
MIB = 2**20


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


@pytest.fixture
def ben(api_site: Site) -> Person:
    return api_site.person("ben")


def block(person: Person, verb: str, name: str, data: bytes | None = None) -> requests.Response:
    return person.session.request(verb, f"https://{person.site.address}/{name}", data=data)


def put(person: Person, data: bytes) -> str:
    """The signed locator of a block that is stored now."""
    response = block(person, "PUT", hashlib.md5(data).hexdigest(), data)
    assert response.status_code == 200, response.text
    assert int(response.headers["X-Keep-Replicas-Stored"]) >= 2
    return response.text.strip()


def test_a_block_comes_back_to_who_stored_it_and_to_nobody_else(ada: Person, ben: Person) -> None:
    locator = put(ada, b"foo")
    assert re.fullmatch(r"acbd18db4cc2f85cedef654fccc4a4d8\+3\+A[0-9a-f]{40}@[0-9a-f]{8}", locator)
    got = block(ada, "GET", locator)
    assert (got.content, got.headers["Content-Length"]) == (b"foo", "3")
    head = block(ada, "HEAD", f"{locator}+K@zzzzz")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "3", b"")
    assert block(ben, "GET", locator).status_code == 403
    assert block(ada, "GET", "acbd18db4cc2f85cedef654fccc4a4d8+3").status_code == 403
    assert block(ada, "GET", locator.replace("+A", "+A0")[:-1]).status_code == 403
    assert block(ben, "GET", put(ben, b"foo")).content == b"foo"


def test_nobody_stores_or_reads_without_a_token(api_site: Site, ada: Person) -> None:
    locator = put(ada, b"bar")
    nobody = Person(api_site, "", "wrong")
    assert block(nobody, "GET", locator).status_code == 401
    assert block(nobody, "PUT", hashlib.md5(b"x").hexdigest(), b"x").status_code == 401
    nobody.session.close()


def test_what_is_no_block_is_refused(ada: Person) -> None:
    assert block(ada, "PUT", "0" * 32, b"not that").status_code == 422
    assert block(ada, "PUT", "0" * 31, b"x").status_code == 404
    assert block(ada, "PUT", "../" + "0" * 32, b"x").status_code in (404, 422)
    assert block(ada, "GET", "0" * 32 + "+x").status_code == 422
    assert block(ada, "GET", "favicon.ico").status_code == 404
    assert block(ada, "GET", EMPTY).content == b""
    assert put(ada, b"").startswith(EMPTY)
    too_large = block(ada, "PUT", "0" * 32, b"x" * (64 * MIB + 1))
    assert too_large.status_code == 413


def test_a_block_that_is_gone_is_not_found_and_a_damaged_one_is_not_given(api_site: Site, ada: Person) -> None:
    root = api_site.crunch.session().folders.store
    gone, damaged = put(ada, b"soon gone"), put(ada, b"soon damaged")
    (root / gone[:3] / gone[:32]).unlink()
    place: Path = root / damaged[:3] / damaged[:32]
    place.chmod(0o600)
    place.write_bytes(b"soon Damaged")
    assert block(ada, "GET", gone).status_code == 404
    assert block(ada, "HEAD", gone).status_code == 404
    assert block(ada, "GET", damaged).status_code == 422
    assert block(ada, "GET", put(ada, b"soon damaged")).content == b"soon damaged"
    assert str(root) not in block(ada, "GET", gone).text


def test_a_signature_ends() -> None:
    then, key = 1_000, b"key"
    signer = Signer(key, "token", then)
    locator, _, hint = signer.locator(EMPTY).partition("+A")
    signer.check(locator, f"A{hint}", then)
    with pytest.raises(Exception, match="expired"):
        signer.check(locator, f"A{hint}", then + 1)
    with pytest.raises(Exception, match="not signed"):
        Signer(b"other key", "token", then).check(locator, f"A{hint}", then)


def test_large_blocks_of_many_go_through_in_constant_memory(api_site: Site, ada: Person) -> None:
    def high_water() -> int:
        status = Path(f"/proc/{api_site.up.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def there_and_back(number: int) -> bool:
        person = Person(api_site, ada.uuid, ada.token)
        data = os.urandom(MIB) * 63 + bytes([number])
        back = block(person, "GET", put(person, data))
        person.session.close()
        return back.content == data

    before = high_water()
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(there_and_back, range(3)))
    assert high_water() - before < 48 * MIB


# --- Collections ------------------------------------------------------------------------------------------------------


def test_a_collection_is_kept_without_signatures_and_given_with_the_readers_own(ada: Person, ben: Person) -> None:
    locator = put(ada, b"foo")
    made = ada.post("collections", manifest_text=f". {locator} 0:3:foo.txt\n", name="mine", properties={"a": [1]})
    plain = ". acbd18db4cc2f85cedef654fccc4a4d8+3 0:3:foo.txt\n"
    assert made["portable_data_hash"] == f"{hashlib.md5(plain.encode()).hexdigest()}+{len(plain)}"
    assert made["properties"] == {"a": [1]}
    assert "+A" in made["manifest_text"]
    pdh = made["portable_data_hash"]
    assert ada.get(f"collections/{pdh.replace('+', '%2B')}")["uuid"] == pdh
    selected = ada.get("collections", select=["unsigned_manifest_text", "uuid"], filters=[["uuid", "=", made["uuid"]]])
    assert selected["items"][0]["unsigned_manifest_text"] == plain
    assert "manifest_text" not in ada.get("collections")["items"][0]
    assert ben.ask("GET", f"collections/{pdh}").status_code == 404
    assert ben.ask("GET", f"collections/{made['uuid']}").status_code == 404
    assert ben.ask("PUT", f"collections/{made['uuid']}", json={"name": "x"}).status_code == 404
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": ben.uuid, "head_uuid": ada.uuid}
    grant = ada.post("links", **link)["uuid"]
    theirs = ben.get(f"collections/{pdh}")["manifest_text"]
    assert theirs != ada.get(f"collections/{pdh}")["manifest_text"]
    assert block(ben, "GET", theirs.split()[1]).content == b"foo"
    assert ben.ask("PUT", f"collections/{made['uuid']}", json={"name": "x"}).status_code == 403
    ada.delete(f"links/{grant}")
    assert ben.ask("GET", f"collections/{pdh}").status_code == 404


def test_nobody_gets_at_a_block_by_naming_it_in_a_manifest(ada: Person, ben: Person) -> None:
    locator = put(ada, b"private")
    for text in (f". {locator} 0:7:f\n", f". {locator.partition('+A')[0]} 0:7:f\n"):
        response = ben.ask("POST", "collections", json={"manifest_text": text})
        assert response.status_code == 403, response.text


def test_a_name_is_unique_among_its_owners(ada: Person, ben: Person) -> None:
    first = ada.post("collections", name="results")
    refused = ada.ask("POST", "collections", json={"name": "results"})
    assert refused.status_code == 422
    assert "name" in refused.text
    other = ada.ask("POST", "collections?ensure_unique_name=true", json={"name": "results"}).json()
    assert other["name"] != "results"
    assert other["name"].startswith("results (")
    assert ben.post("collections", name="results")["name"] == "results"
    assert ada.put(f"collections/{first['uuid']}", name="renamed", description="d")["description"] == "d"
    assert ada.delete(f"collections/{first['uuid']}")["name"] == "renamed"
    assert ada.ask("GET", f"collections/{first['uuid']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"manifest_text": "nonsense"}, "manifest"),
        ({"manifest_text": f". {EMPTY} 0:0:../x\n"}, "manifest"),
        ({"manifest_text": 3}, "manifest_text"),
        ({"manifest_text": "", "portable_data_hash": "0" * 32 + "+9"}, "portable_data_hash"),
        ({"portable_data_hash": "0" * 32 + "+9"}, "portable_data_hash"),
        ({"properties": []}, "properties"),
        ({"name": "x" * 300}, "name"),
        ({"name": "a\0b"}, "NUL"),
    ],
)
def test_what_is_no_collection_is_refused(ada: Person, body: dict[str, object], named: str) -> None:
    response = ada.ask("POST", "collections", json=body)
    assert response.status_code in (403, 422), response.text
    assert named in response.text
