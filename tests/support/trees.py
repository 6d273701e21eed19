"""Trees of files and manifests to try the store on."""

from pathlib import Path

from hypothesis import strategies as st

from store.manifest import escape

FEW_NAMES = ["a", "b", "a b", "a-b", "c:d", "ä", "back\\slash", "new\nline", "x.txt"]
names = st.sampled_from(FEW_NAMES) | st.text(
    st.characters(exclude_characters="\0/", exclude_categories=["Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=8
).filter(lambda name: name not in (".", "..") and not any(char.isspace() for char in name))

Tree = dict[str, "bytes | Tree"]
trees: st.SearchStrategy[Tree] = st.recursive(
    st.binary(max_size=40),
    lambda children: st.dictionaries(names, children, max_size=4),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))


def write_tree(root: Path, tree: Tree, *, backwards: bool = False) -> Path:
    """Make the tree under `root`, which must not be there."""
    root.mkdir(parents=True)
    for name in sorted(tree, reverse=backwards):
        node = tree[name]
        if isinstance(node, dict):
            write_tree(root / name, node, backwards=backwards)
        else:
            (root / name).write_bytes(node)
    return root


def read_tree(root: Path) -> Tree:
    """The tree under `root`."""
    return {path.name: read_tree(path) if path.is_dir() else path.read_bytes() for path in root.iterdir()}


def files_of(tree: Tree, prefix: str = "") -> dict[str, bytes]:
    """Path to content of every file."""
    found: dict[str, bytes] = {}
    for name, node in tree.items():
        path = prefix + name
        found |= files_of(node, f"{path}/") if isinstance(node, dict) else {path: node}
    return found


@st.composite
def manifests(draw: st.DrawFn, *, empty_blocks: bool = True) -> str:
    """Manifest text by the grammar: streams and files in any order, parts of files anywhere, no file that is also a
    directory. `empty_blocks`: with blocks of no bytes between others."""
    lines = [draw(_stream(empty_blocks)) for _ in range(draw(st.integers(0, 4)))]
    return "".join(lines)


@st.composite
def _stream(draw: st.DrawFn, empty_blocks: bool) -> str:
    # Directory names begin with d, file names with f: no name is both.
    path = ["."] + [f"d{escape(name)}" for name in draw(st.lists(names, max_size=3))]
    sizes = draw(st.lists(st.integers(0 if empty_blocks else 1, 20), min_size=1, max_size=5))
    locators = [f"{draw(st.integers(0, 3)):031x}{size % 16:x}+{size}" for size in sizes]
    total = sum(sizes)
    tokens = []
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, total))
        length = draw(st.integers(0, total - start))
        tokens.append(f"{start}:{length}:f{escape(draw(names))}")
    return " ".join(["/".join(path), *locators, *tokens]) + "\n"
