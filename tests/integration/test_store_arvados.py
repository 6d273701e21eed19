"""The store next to the Arvados Python client 2.2.2: the same normal form, the same hashes, each reads the other's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.blocks import BlockStore
from store.collections import CollectionStore
from store.errors import ManifestInvalid
from store.manifest import parse_manifest, portable_data_hash
from tests.support.arvados_client import ArvadosClient
from tests.support.keep_server import keep_server
from tests.support.trees import Tree, files_of, manifests, trees, write_tree

pytestmark = pytest.mark.needs("arvados-client")

A = "930625b054ce894ac40596c3f5a0d947+33"
EMPTY = "d41d8cd98f00b204e9800998ecf8427e+0"
SIGNATURE = "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"

with_fixtures = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def arvados() -> Iterator[ArvadosClient]:
    client = ArvadosClient()
    yield client
    client.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CollectionStore:
    return CollectionStore(BlockStore.create(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def keep(store: CollectionStore) -> Iterator[str]:
    with keep_server(store.blocks) as address:
        yield address


@settings(deadline=None)
@given(text=manifests(empty_blocks=False))
def test_both_normalise_alike(arvados: ArvadosClient, text: str) -> None:
    normalised = parse_manifest(text).text()
    assert normalised == arvados.normalise(text)
    assert portable_data_hash(normalised) == arvados.portable_data_hash(text)


@settings(deadline=None)
@given(one=manifests(empty_blocks=False), two=manifests(empty_blocks=False))
def test_both_join_alike(arvados: ArvadosClient, store: CollectionStore, one: str, two: str) -> None:
    joined = store.join([store.save_manifest(one), store.save_manifest(two)])
    assert store.manifest_text(joined) == arvados.normalise(one + two)
    assert joined == arvados.portable_data_hash(one + two)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f". {A} 0:0:a 0:0:b 0:33:output.txt\n./c {EMPTY} 0:0:d\n",
        f". {A}{SIGNATURE}+K@zzzzz 0:33:Docker\\040image.tar\n",
        f"./a {EMPTY} 0:0:\\056\n./a/b {EMPTY} 0:0:\\056\n./c {EMPTY} 0:0:\\056\n",
        f"./a {A} 0:3:f\n./a-b {A} 0:3:f\n./a/b {A} 0:3:f\n./B {A} 0:3:f\n./ä {A} 0:3:f\n",
        f". {A} 0:1:x/y/z 1:1:x/y/\\056\\056\\056 2:1:\\141\\072\\134\n",
        f". {A} 0:3:same 10:3:same 13:2:same\n. {A} 0:1:same\n",
        f". {A} 0:0:a\\134040b 0:0:a\\\\b 0:0:a\\b\n",
        f". {EMPTY} 0:0:\\056\n",
        f". {EMPTY} 0:0:x/\\056\n",
    ],
)
def test_both_normalise_the_odd_cases_alike(arvados: ArvadosClient, text: str) -> None:
    assert parse_manifest(text).text() == arvados.normalise(text)


@pytest.mark.parametrize(
    "text",
    [
        f". {A} 0:3:a\n./a {A} 0:3:b\n",
        f"./a {A} 0:3:b\n. {A} 0:3:a\n",
        f". {A} 0:3:a/b 0:3:a\n",
    ],
)
def test_both_refuse_a_file_that_is_a_directory(arvados: ArvadosClient, text: str) -> None:
    assert arvados.normalise(text) is None
    with pytest.raises(ManifestInvalid):
        parse_manifest(text)


def test_where_the_client_loses_data_the_store_does_not(arvados: ArvadosClient) -> None:
    """A file that starts right after an empty block is empty to the client: a fault of its search for the block."""
    text = f". {A} {EMPTY} {A.replace('9', 'a', 1)} 33:5:f\n"
    assert arvados.files(text) == {"f": 0}
    assert parse_manifest(text).text() == f". {A.replace('9', 'a', 1)} 0:5:f\n"


@with_fixtures
@given(tree=trees)
def test_the_client_reads_what_the_store_saved(
    arvados: ArvadosClient, store: CollectionStore, keep: str, tmp_path: Path, tree: Tree
) -> None:
    root = tmp_path / str(len(list(tmp_path.iterdir())))
    pdh = store.save_directory(write_tree(root, tree)).portable_data_hash
    text = store.manifest_text(pdh)
    contents = files_of(tree)
    assert arvados.read(keep, text) == contents
    assert arvados.files(text) == {path: len(content) for path, content in contents.items()}
    assert arvados.normalise(text) == text
    assert arvados.portable_data_hash(text) == pdh


@with_fixtures
@given(tree=trees, packed=st.booleans())
def test_the_store_reads_what_the_client_wrote(
    arvados: ArvadosClient, store: CollectionStore, keep: str, tree: Tree, packed: bool
) -> None:
    contents = files_of(tree)
    if packed:  # that writer escapes spaces only
        contents = {path: data for path, data in contents.items() if path.isprintable() and "\\" not in path}
    pdh = store.save_manifest(arvados.write(keep, contents, packed=packed))
    found = {entry.path: store.open(pdh, entry.path).read() for entry in store.files(pdh)}
    assert found == contents


def test_the_client_written_one_by_one_has_our_layout(
    arvados: ArvadosClient, store: CollectionStore, keep: str, tmp_path: Path
) -> None:
    files = {"a": b"foo", "b": b"bar", "dir/c": b""}
    root = write_tree(tmp_path / "tree", {"a": b"foo", "b": b"bar", "dir": {"c": b""}})
    ours = store.manifest_text(store.save_directory(root).portable_data_hash)
    assert arvados.normalise(arvados.write(keep, files, packed=False)) == ours
    assert arvados.normalise(arvados.write(keep, files, packed=True)) != ours
