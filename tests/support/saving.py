"""What tests of collections do again and again."""

from pathlib import Path

from store.collections import CollectionStore
from tests.support.trees import Tree, write_tree


def save(store: CollectionStore, root: Path, tree: Tree) -> str:
    """The portable data hash of the tree, written below `root` and saved."""
    return store.save_directory(write_tree(root, tree)).portable_data_hash


def spoil(store: CollectionStore, locator: str, data: bytes) -> None:
    """Write something else where the store keeps this block."""
    path = store.blocks.root / locator[:3] / locator[:32]
    path.chmod(0o600)
    path.write_bytes(data)
