"""What holds blocks keeps the same promises, a folder or a Keep cluster; and what a cluster's client promises more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.blocks import BlockStore
from store.collections import CollectionStore
from store.errors import BlockCorrupt, BlockMissing, BlockTooLarge, StoreFull, StoreUnreachable
from store.keep import Cluster, KeepBlocks
from store.locator import EMPTY_BLOCK
from store.port import Blocks
from store.shelves import MAX_BLOCK_BYTES
from store.words import Words
from streams.broker import free_port
from tests.support.keep_cluster import NOW, TOKEN, TTL, KeepCluster, keep_cluster

FOO = "acbd18db4cc2f85cedef654fccc4a4d8+3"
SIGNED = FOO + "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"
ABSENT = "37b51d194a7513e45b56f6524f2d51f2+3"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KeepCluster]:
    with keep_cluster(tmp_path, nodes=3) as made:
        yield made


def client(cluster: KeepCluster, **more: object) -> KeepBlocks:
    given = {"api": cluster.api, "token": TOKEN, "signing_ttl": TTL} | more
    return KeepBlocks(Cluster(**given), clock=lambda: NOW)


@pytest.fixture(params=["folder", "keep"])
def blocks(request: pytest.FixtureRequest, tmp_path: Path) -> Blocks:
    if request.param == "folder":
        return BlockStore.create(tmp_path / "store")
    return client(request.getfixturevalue("cluster"))


# --- Both -------------------------------------------------------------------------------------------------------------


def test_what_is_put_is_there_by_its_locator_with_and_without_hints(blocks: Blocks) -> None:
    assert blocks.put(b"foo") == FOO == blocks.put(bytearray(b"foo"), md5=FOO[:32])
    for locator in (FOO, SIGNED):
        assert blocks.get(locator) == b"foo"
        assert blocks.exists(locator)
        blocks.check(locator)


def test_blocks_that_are_put_together_are_there_when_that_ends(blocks: Blocks) -> None:
    with blocks.together() as batch:
        locators = [batch.put(text) for text in (b"foo", b"bar", b"foo", b"")]
    assert [blocks.get(locator) for locator in locators] == [b"foo", b"bar", b"foo", b""]


def test_the_empty_block_is_always_there(blocks: Blocks) -> None:
    assert blocks.put(b"") == EMPTY_BLOCK
    assert blocks.get(EMPTY_BLOCK) == b""
    assert blocks.exists(EMPTY_BLOCK)


def test_what_is_not_there_is_said_to_be_missing(blocks: Blocks) -> None:
    assert not blocks.exists(ABSENT)
    for ask in (blocks.get, blocks.check):
        with pytest.raises(BlockMissing, match=ABSENT[:32]):
            ask(ABSENT)


def test_another_size_is_another_block(blocks: Blocks) -> None:
    blocks.put(b"foo")
    assert not blocks.exists(FOO[:-1] + "4")


def test_what_is_sent_under_a_wrong_name_or_is_too_large_is_refused(blocks: Blocks) -> None:
    with pytest.raises(BlockCorrupt):
        blocks.put(b"bar", md5=FOO[:32])
    with pytest.raises(BlockTooLarge):
        blocks.put(bytes(MAX_BLOCK_BYTES + 1))


def test_collections_are_kept_in_it(blocks: Blocks, tmp_path: Path) -> None:
    store = CollectionStore(blocks)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x").write_text("content")
    saved = store.save_directory(tmp_path / "in")
    assert store.verify(saved.portable_data_hash, deep=True).verdict == "whole"
    store.extract(saved.portable_data_hash, tmp_path / "out")
    assert (tmp_path / "out" / "sub" / "x").read_text() == "content"


# --- A cluster --------------------------------------------------------------------------------------------------------


def test_each_block_goes_to_the_service_that_keeps_order_says(cluster: KeepCluster) -> None:
    keep = client(cluster)
    for number in range(20):
        locator = keep.put(b"block %d" % number)
        assert cluster.node_for(locator[:32]).blocks.exists(locator)
    held = [len(list(node.blocks.blocks())) for node in cluster.nodes]
    assert sum(held) == 20
    assert all(held)


def test_as_many_copies_are_stored_as_are_wanted(cluster: KeepCluster) -> None:
    client(cluster, replicas=2).put(b"foo")
    assert sorted(node.blocks.exists(FOO) for node in cluster.nodes) == [False, True, True]


def test_a_service_that_takes_nothing_is_passed_over(cluster: KeepCluster) -> None:
    first = cluster.node_for(FOO[:32])
    first.read_only = True
    assert client(cluster).put(b"foo") == FOO
    assert not first.blocks.exists(FOO)
    first.read_only, first.status = False, 500
    assert client(cluster).put(b"foo") == FOO


def test_a_copy_elsewhere_is_found_but_nothing_is_missing_while_one_is_silent(cluster: KeepCluster) -> None:
    first, second, third = cluster.nodes
    third.blocks.put(b"foo")
    second.status = 500
    keep = client(cluster)
    assert keep.get(FOO) == b"foo"
    for ask in (keep.get, keep.exists):
        with pytest.raises(StoreUnreachable, match="answers 500"):
            ask(ABSENT)
    second.status = 0
    assert not keep.exists(ABSENT)
    assert f"HEAD /{ABSENT}" in first.asked


def test_a_damaged_copy_is_passed_over_and_named_where_there_is_no_other(cluster: KeepCluster) -> None:
    keep = client(cluster, replicas=2)
    keep.put(b"foo")
    damaged = cluster.node_for(FOO[:32])
    for node in (damaged, *(node for node in cluster.nodes if node is not damaged)):
        if node.blocks.exists(FOO):
            file = node.blocks.root / FOO[:3] / FOO[:32]
            file.chmod(0o600)
            file.write_bytes(b"fox")
            if node is damaged:
                assert keep.get(FOO) == b"foo"
    with pytest.raises(BlockCorrupt, match=FOO[:32]):
        keep.get(FOO)


def test_a_cluster_without_room_is_full(cluster: KeepCluster) -> None:
    keep = client(cluster)
    keep.exists(ABSENT)
    for node in cluster.nodes:
        node.status = 503
    with pytest.raises(StoreFull):
        keep.put(b"foo")


def test_locators_are_signed_where_the_cluster_wants_it(cluster: KeepCluster) -> None:
    cluster.key = b"the cluster's key"
    keep = client(cluster, signing_key=cluster.key)
    keep.put(b"foo")
    assert keep.get(FOO) == b"foo"
    assert keep.exists(FOO)
    with pytest.raises(StoreUnreachable, match="refuses our token"):
        client(cluster).get(FOO)


def test_a_manifest_that_only_the_api_has_is_asked_of_it(cluster: KeepCluster) -> None:
    keep = client(cluster)
    keep.put(b"foo")
    text = f". {FOO} 0:3:x\n"
    pdh = CollectionStore(keep).save_manifest(text)
    for node in cluster.nodes:
        node.blocks.remove(pdh)
    assert not keep.exists(pdh)
    cluster.manifests[pdh] = f". {SIGNED} 0:3:x\n"
    assert keep.get(pdh) == text.encode()
    assert CollectionStore(keep).verify(pdh).verdict == "whole"


def test_a_cluster_that_keeps_no_words_of_tasks_is_no_trouble_and_left_alone(
    cluster: KeepCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, name = client(cluster), "0123456789abcdef"
    blocks.words.remove(name)
    for _ in range(2):
        blocks.words.put(name, Words(total=3, end=b"foo"))
        assert blocks.words.get(name) is None
        blocks.words.remove(name)
    assert cluster.asked == [f"DELETE /words/{name}", f"PUT /words/{name}"]
    monkeypatch.setattr("store.keep.LISTED_FOR", 0.0)
    again = client(cluster)
    for _ in range(2):
        again.words.put(name, Words(total=3, end=b"foo"))
    assert cluster.asked[2:] == [f"PUT /words/{name}"] * 2


def test_nothing_of_tasks_is_said_to_another_s_cluster(cluster: KeepCluster) -> None:
    words = client(cluster, signing_key=b"a key").words
    words.put("0123456789abcdef", Words(total=3, end=b"foo"))
    assert words.get("0123456789abcdef") is None
    words.remove("0123456789abcdef")
    assert cluster.asked == []


def test_what_is_wrong_is_said_in_one_line(cluster: KeepCluster) -> None:
    assert client(cluster).trouble() is None
    assert "refuses our token (401)" in str(client(cluster, token="another").trouble())
    nobody = client(cluster, api=f"https://127.0.0.1:{free_port()}")
    assert "can't be reached" in str(nobody.trouble())
    assert "\n" not in str(nobody.trouble())
