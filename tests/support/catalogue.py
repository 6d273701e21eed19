"""A small Resolver: what exists is what a test put in."""

from typing import Any

from coordinator.canonical import BadTask
from coordinator.resolver import ResolvedCode, ResolvedImage

COMMIT = "4fe459abe02d9b365932b8f5dc419439ab4e2577"
NEWER = "9b3d4c2f8a7e6d5c4b3a2f106f1c0a5e9b3d4c2f"
TREE = "0123456789abcdef0123456789abcdef+120"
READS = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa+67"
IMAGE = "sha256:" + "1" * 64
COLLECTION_UUID = "zzzzz-4zz18-0123456789abcde"


class Catalogue:
    """Branches, image tags, inputs and files that can be looked up by name."""

    def __init__(self, **entries: dict[Any, Any]) -> None:
        self.codes = {
            ("", ""): ResolvedCode("", TREE, {"tree": TREE}),
            ("genomics", "main"): ResolvedCode(COMMIT, TREE, {"commit": COMMIT}),
            ("genomics", COMMIT): ResolvedCode(COMMIT, TREE, {"commit": COMMIT}),
            ("mirror", "main"): ResolvedCode(COMMIT, TREE, {"commit": COMMIT}),
            ("genomics", "next"): ResolvedCode(NEWER, TREE, {"commit": NEWER}),
        } | entries.get("codes", {})
        self.images = {
            "": ResolvedImage("", {"host": "Debian 12 x86_64 Python 3.11.2"}),
            "python:3.11": ResolvedImage(IMAGE, {"image": IMAGE}),
            IMAGE: ResolvedImage(IMAGE, {"image": IMAGE}),
        } | entries.get("images", {})
        self.inputs = {"reads": READS, READS: READS} | entries.get("inputs", {})
        self.files = {f"{READS}/a.fq": "b" * 32 + "+50"} | entries.get("files", {})

    def code(self, repository: str, commit: str) -> ResolvedCode:
        return _find(self.codes, (repository, commit), "commit")

    def image(self, name: str) -> ResolvedImage:
        return _find(self.images, name, "image")

    def input(self, field: str, reference: str) -> str:
        return _find(self.inputs, reference, field)

    def path(self, field: str, reference: str) -> str:
        return _find(self.files, reference, field)


def _find(shelf: dict[Any, Any], name: Any, field: str) -> Any:
    if name not in shelf:
        raise BadTask(field, f"there is no {name}")
    return shelf[name]
