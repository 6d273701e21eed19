"""What counts as a content address, and what hint stripping touches: only what is wholly a locator or a manifest."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import LocatorInvalid
from store.locator import (
    is_collection_uuid,
    is_locator,
    is_manifest,
    is_portable_data_hash,
    locator_of,
    parse_locator,
    portable_data_hash_of,
    split_reference,
    strip_hints,
)

FOO = "acbd18db4cc2f85cedef654fccc4a4d8+3"
BAR = "37b51d194a7513e45b56f6524f2d51f2+3"
SIGNED = "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"
REMOTE = "+Rzzzzz-1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"

hints = st.lists(
    st.builds("+{}{}".format, st.sampled_from(string.ascii_uppercase), st.text(string.ascii_letters + "0123456789@_-")),
    max_size=4,
).map("".join)


@pytest.mark.parametrize("text", [f"{MD5}+0", f"{MD5}+0+Z", f"{MD5}+0+Z{SIGNED}", FOO + REMOTE, FOO + "+K@zzzzz"])
def test_a_locator_is_recognised_and_stripped(text: str) -> None:
    assert is_locator(text)
    assert strip_hints(text) == "+".join(text.split("+")[:2]) == parse_locator(text).stripped
    assert str(parse_locator(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        MD5,
        f"{MD5}+Z+0",
        f"{MD5}+0+0",
        f"{MD5}+0+z",
        f"{MD5}+0+Zfoo*bar",
        f"{MD5}+",
        f"{MD5}+007",
        f"{MD5}+1{'0' * 4500}",
        f"{MD5}+٣",
        f"{MD5.upper()}+0",
        f"{MD5[1:]}+0",
        f" {FOO}",
        f"{FOO}\n",
        f"{FOO}{SIGNED}\n",
        f"{FOO}{SIGNED}/genome.fa",
        f"keep:{FOO}{SIGNED}",
        "HLA+Apos",
        "HLA+Bneg",
    ],
)
def test_what_is_not_a_locator_is_left_alone_and_refused_by_name(text: str) -> None:
    assert not is_locator(text)
    assert strip_hints(text) == text
    with pytest.raises(LocatorInvalid, match="is not a locator") as refusal:
        parse_locator(text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_names_that_look_signed_stay_two_names() -> None:
    assert strip_hints("HLA+Apos") != strip_hints("HLA+Bneg")


def test_a_manifest_loses_the_hints_of_its_blocks_and_of_nothing_else() -> None:
    signed = f". {FOO}{SIGNED} {BAR}+K@zzzzz{REMOTE} 0:3:a+Apos 3:3:{FOO}{SIGNED}\n./HLA+Bneg {FOO}{SIGNED} 0:3:x\n"
    bare = f". {FOO} {BAR} 0:3:a+Apos 3:3:{FOO}{SIGNED}\n./HLA+Bneg {FOO} 0:3:x\n"
    assert is_manifest(signed)
    assert strip_hints(signed) == bare
    assert strip_hints(signed.removesuffix("\n")) == bare.removesuffix("\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "\n",
        f". {FOO}{SIGNED}",
        f". {FOO}{SIGNED} \n",
        ". 0:0:a",
        f"dir {FOO}{SIGNED} 0:3:a\n",
        f". {FOO}{SIGNED} 0:3:a\n\n",
        f". {FOO}{SIGNED} 0:3:a\r\n",
        f".  {FOO}{SIGNED} 0:3:a\n",
        f". 0:3:a {FOO}{SIGNED}\n",
        f". {FOO}{SIGNED} 0:3:a {BAR}{SIGNED}\n",
        f". {FOO}{SIGNED} 0:3:a\nand a remark\n",
    ],
)
def test_text_that_is_only_partly_a_manifest_is_left_alone(text: str) -> None:
    assert not is_manifest(text)
    assert strip_hints(text) == text


def test_a_long_manifest_is_recognised() -> None:
    line = f". {' '.join([FOO + SIGNED] * 20_000)} {' '.join(f'0:3:{n}' for n in range(20_000))}\n"
    assert strip_hints(line * 3) == line.replace(SIGNED, "") * 3
    assert strip_hints(line * 3 + "x") == line * 3 + "x"


def test_what_names_a_collection() -> None:
    assert is_portable_data_hash(FOO)
    assert not is_portable_data_hash(FOO + SIGNED)
    assert not is_portable_data_hash(FOO + "\n")
    assert is_collection_uuid("zzzzz-4zz18-0123456789abcde")
    assert not is_collection_uuid("zzzzz-8i9sb-0123456789abcde")
    assert not is_collection_uuid("zzzzz-4zz18-0123456789abcdef")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (FOO, (FOO, "")),
        (f"{FOO}{SIGNED}", (FOO, "")),
        (f"{FOO}/", (FOO, "")),
        (f"{FOO}/dir/file.txt", (FOO, "dir/file.txt")),
        (f"{FOO}{SIGNED}/dir/", (FOO, "dir")),
        (f"{FOO}/./dir//file.txt", (FOO, "dir/file.txt")),
        (f"{FOO}/../x", (FOO, "../x")),
        ("zzzzz-4zz18-0123456789abcde/file", None),
        ("dir/file", None),
    ],
)
def test_a_reference_splits_into_hash_and_path(text: str, parts: tuple[str, str] | None) -> None:
    assert split_reference(text) == parts


@given(st.binary(), hints)
def test_any_block_has_one_locator_whatever_its_hints(data: bytes, hints: str) -> None:
    locator = locator_of(data).stripped
    assert strip_hints(locator + hints) == locator == portable_data_hash_of(locator + hints)
    assert parse_locator(locator + hints).size == len(data)


@given(st.text() | st.from_regex(r"[0-9a-f]{32}\+[0-9]+(\+[A-Za-z@]+)*\n?"))
def test_stripping_again_changes_nothing_and_nothing_else_ever_escapes(text: str) -> None:
    assert strip_hints(strip_hints(text)) == strip_hints(text)
    try:
        parse_locator(text)
    except LocatorInvalid:
        assert strip_hints(text) == text
