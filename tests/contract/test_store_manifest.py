"""Manifests: the published grammar, one normal form, and a plain refusal for whatever is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import ManifestInvalid, PathMissing
from store.locator import is_manifest
from store.manifest import Manifest, Segment, escape, file_size, parse_manifest, portable_data_hash
from store.paths import MAX_DEPTH
from tests.support.trees import manifests

EMPTY = "d41d8cd98f00b204e9800998ecf8427e+0"
A = "930625b054ce894ac40596c3f5a0d947+33"
B = "acbd18db4cc2f85cedef654fccc4a4d8+3"
C = "37b51d194a7513e45b56f6524f2d51f2+3"
SIGNATURE = "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("", ""),
        (f". {A} 0:0:a 0:0:b 0:33:output.txt\n./c {EMPTY} 0:0:d\n", None),
        (f". {A}{SIGNATURE} 0:33:f\n", f". {A} 0:33:f\n"),
        (f". {A} 0:33:f", f". {A} 0:33:f\n"),
        (f". {B} {C} 3:3:b 0:3:a\n", f". {B} {C} 0:3:a 3:3:b\n"),
        (f". {B} {C} 3:3:a 0:3:b\n", f". {C} {B} 0:3:a 3:3:b\n"),
        (f". {B} {B} 0:6:a\n", f". {B} 0:3:a 0:3:a\n"),
        (f". {B} {C} 0:2:a 2:4:a\n", f". {B} {C} 0:6:a\n"),
        (f". {B} 0:3:a\n./x {C} 0:3:y\n. {C} 0:3:a\n", f". {B} {C} 0:6:a\n./x {C} 0:3:y\n"),
        (f". {B} 0:3:x/y/z\n", f"./x/y {B} 0:3:z\n"),
        (f"./a {B} 0:3:f\n./a-b {B} 0:3:f\n./a/b {B} 0:3:f\n", f"./a {B} 0:3:f\n./a/b {B} 0:3:f\n./a-b {B} 0:3:f\n"),
        (f"./a {EMPTY} 0:0:\\056\n", None),
        (f"./a {EMPTY} 0:0:\\056\n./a/b {EMPTY} 0:0:\\056\n", f"./a/b {EMPTY} 0:0:\\056\n"),
        (f". {EMPTY} 0:0:x/\\056\n", f"./x {EMPTY} 0:0:\\056\n"),
        (f". {EMPTY} 0:0:\\056\n", ""),
        (f". {B} {EMPTY} {C} 0:6:a 3:0:b 6:0:c\n", f". {B} {C} 0:6:a 0:0:b 0:0:c\n"),
        (f". {A} 0:33:Docker\\040image.tar\n", None),
        (f". {A} 0:1:a\\072b 1:1:back\\134slash 2:1:new\\012line\n", None),
        (f". {A} 0:1:\\141 1:1:\\303\\244\n", f". {A} 0:1:a 1:1:ä\n"),
        (f". {A} 0:1:c:d\n", f". {A} 0:1:c\\072d\n"),
        (f". {A} 0:1:x\\057y\n", f"./x {A} 0:1:y\n"),
        (f". {A} 0:1:c\\d\n", f". {A} 0:1:c\\134d\n"),
        (f". {A} 00:01:a\n", f". {A} 0:1:a\n"),
    ],
)
def test_a_manifest_has_one_normal_form(given: str, normalised: str | None) -> None:
    expected = given if normalised is None else normalised
    assert parse_manifest(given).text() == expected
    assert parse_manifest(expected).text() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n", "line 1: a stream needs a name"),
        (".", "line 1: a stream needs a name"),
        (f". {A}\n", "at least one file"),
        (". 0:0:a\n", "at least one block locator"),
        (f" {A} 0:0:a\n", "is neither '.' nor './' and a path"),
        (f"a {A} 0:0:a\n", "is neither '.' nor './' and a path"),
        (f"./ {A} 0:0:a\n", "is neither '.' nor './' and a path"),
        (f"/etc {A} 0:0:a\n", "is neither '.' nor './' and a path"),
        (f"./.. {A} 0:0:a\n", "a path goes down only"),
        (f"./a/../../b {A} 0:0:a\n", "a path goes down only"),
        (f"./a// {A} 0:0:a\n", "a path goes down only"),
        (f"./\\056\\056 {A} 0:0:a\n", "a path goes down only"),
        (f". {A} 0:0:../a\n", "a path goes down only"),
        (f". {A} 0:0:/a\n", "a path goes down only"),
        (f". {A} 0:0:a/\n", "a path goes down only"),
        (f". {A} 0:0:\\056\\056\n", "a path goes down only"),
        (f". {A} 0:0:..\\057a\n", "a path goes down only"),
        (f". {A} 0:1:\\056\n", "a file can't be named '.'"),
        (f". {A} 0:0:a\\000b\n", "NUL"),
        (f". {A} 0:34:a\n", "0:34 reaches beyond the stream's 33 bytes"),
        (f". {A} 34:0:a\n", "reaches beyond"),
        (f". {A} 9999999999999999999:9999999999999999999:a\n", "reaches beyond"),
        (f". {A} -1:1:a\n", "neither a block locator nor position:size:name"),
        (f". {A} 0:1:\n", "neither a block locator nor position:size:name"),
        (f". {A} 0:1:a {B}\n", "neither a block locator nor position:size:name"),
        (f". {A}  0:1:a\n", "neither a block locator nor position:size:name"),
        (f". {A} 0:1:a\n\n", "line 2: a stream needs a name"),
        (f". {A} 0:1:a\r\n", "control characters must be escaped"),
        (f". {A} 0:1:a\tb\n", "control characters must be escaped"),
        (f". {A} 0:1:\\377\n", "is not UTF-8 once unescaped"),
        (f". {A} 0:1:a\n./a {A} 0:1:b\n", "line 2: a/b is refused: 'a' is both a file and a directory"),
        (f"./a {A} 0:1:b\n. {A} 0:1:a\n", "line 2: a is refused: it is both a file and a directory"),
        (f". {A} 0:1:{'a' * 256}\n", "longer than 255 bytes"),
        (f". {A} 0:1:{'a/' * MAX_DEPTH}a\n", f"more than {MAX_DEPTH} levels deep"),
        (f"./{'ä' * 120}{('/' + 'ä' * 120) * 20} {A} 0:1:a\n", "longer than 4096 bytes"),
        (f". {A} 0:1:\ud800\n", "not UTF-8"),
    ],
)
def test_what_is_malformed_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(ManifestInvalid) as refusal:
        parse_manifest(text)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_text_that_describes_more_than_can_be_held_is_refused() -> None:
    blocks = " ".join([B] * 2000)
    text = f". {blocks} {' '.join(f'0:6000:{n}' for n in range(2000))}\n"
    with pytest.raises(ManifestInvalid, match="more than 1000000 parts"):
        parse_manifest(text)


def test_a_text_larger_than_a_block_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="too many files"):
        parse_manifest("x" * (64 * 2**20 + 1))


def test_segments_say_where_each_byte_is() -> None:
    manifest = parse_manifest(f". {B} {A} {C} 2:35:f\n")
    segments = manifest.find("f")
    assert segments == [Segment(B, 3, 2, 1), Segment(A, 33, 0, 33), Segment(C, 3, 0, 1)]
    assert file_size(segments) == 35


def test_the_portable_data_hash_is_that_of_the_text_without_hints() -> None:
    text = f". {A} 0:33:f\n"
    assert portable_data_hash("") == EMPTY
    assert portable_data_hash(text.replace(A, A + SIGNATURE)) == portable_data_hash(text)
    assert portable_data_hash(text).endswith(f"+{len(text)}")


def test_a_subset_depends_on_nothing_beside_it() -> None:
    packed = parse_manifest(f". {A} 0:10:a 10:5:b\n./d {B} {C} 0:3:x 3:3:y\n./d/e {C} 0:3:z\n")
    assert packed.subset("b").text() == f". {A} 10:5:b\n"
    assert packed.subset("d").text() == f". {B} {C} 0:3:x 3:3:y\n./e {C} 0:3:z\n"
    assert packed.subset("d/y").text() == f". {C} 0:3:y\n"
    assert packed.subset("").text() == packed.text()
    assert packed.pruned("d").text() == f"./d {B} {C} 0:3:x 3:3:y\n./d/e {C} 0:3:z\n"
    assert packed.pruned("d/y").text() == f"./d {C} 0:3:y\n"
    assert packed.pruned("b").text() == packed.subset("b").text()
    assert packed.pruned("").text() == packed.text()
    for path in ("c", "d/", "a/b", "d/e/z/q", "/d", "."):
        with pytest.raises(PathMissing):
            packed.subset(path)


def test_an_empty_directory_on_its_own_is_the_empty_collection() -> None:
    assert parse_manifest(f"./a {EMPTY} 0:0:\\056\n").subset("a").text() == ""
    assert Manifest().text() == ""


@given(manifests())
def test_normalising_again_changes_nothing(text: str) -> None:
    normalised = parse_manifest(text).text()
    assert parse_manifest(normalised).text() == normalised
    assert dict(parse_manifest(normalised).files()).keys() == dict(parse_manifest(text).files()).keys()


FRAGMENTS = [
    ".",
    "./",
    "a",
    "/",
    "..",
    " ",
    "\n",
    f" {A}",
    f" {EMPTY}",
    f" {B}{SIGNATURE}",
    " 0:0:",
    " 2:9:",
    "\\056",
    "\\",
]


@given(st.text() | st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        manifest = parse_manifest(text)
    except ManifestInvalid:
        return
    assert not text or is_manifest(text)
    assert parse_manifest(manifest.text()).text() == manifest.text()


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_name_survives(name: str) -> None:
    if name in (".", ".."):
        return
    text = f". {A} 0:33:{escape(name)}\n"
    assert parse_manifest(text).text() == text
    assert list(parse_manifest(text).files()) == [(name, [Segment(A, 33, 0, 33)])]
