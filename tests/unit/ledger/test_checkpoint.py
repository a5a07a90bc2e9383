"""Checkpoints as notes: one form, exact errors, signatures that hold, and what they are held to."""

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import signing
from ledger.checkpoint import (
    NOTE_BYTES_MAX,
    SIGNATURES_MAX,
    Checkpoint,
    CheckpointRefused,
    Key,
    Note,
    Witness,
    checkpoint_in,
    judge,
    key_name,
    origin_of,
    parse_key,
    parse_note,
    text_of,
)

SEEN = Checkpoint(origin_of("0123456789ab"), 42, "ab" * 32)
SIGNER = signing.signer_of("example.com/ledger", b"\x07" * 32)
ROTATED = signing.signer_of("example.com/ledger", b"\x08" * 32)
SIGNED = str(SIGNER.sign(SEEN))

# Published with the specification's first implementation: a key, its secret, and what it signed.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)


# --- the form ---------------------------------------------------------------------------------


def test_a_checkpoint_is_three_lines_a_blank_one_and_a_signature() -> None:
    lines = SIGNED.split("\n")
    assert lines[:4] == [
        "iam-ledger/0123456789ab",
        "42",
        "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
        "",
    ]
    assert lines[4].startswith("— example.com/ledger ")
    assert lines[5:] == [""]


def test_notes_of_other_implementations_are_read_and_believed() -> None:
    note = parse_note(PUBLISHED_NOTE.encode())
    assert str(note) == PUBLISHED_NOTE
    assert str(signing.check(note, [parse_key(PUBLISHED_KEY)])) == PUBLISHED_KEY
    signer = signing.parse_signer(PUBLISHED_PRIVATE)
    assert str(signer.key) == PUBLISHED_KEY


def test_signing_twice_gives_the_same_bytes() -> None:
    assert str(SIGNER.sign(SEEN)) == SIGNED


@given(
    st.text(string.hexdigits.lower(), min_size=1, max_size=12),
    st.integers(1, 10**18),
    st.binary(min_size=32, max_size=32),
)
def test_what_was_signed_is_read_back(ledger_id: str, size: int, root: bytes) -> None:
    seen = Checkpoint(origin_of(ledger_id), size, root.hex())
    note = parse_note(str(SIGNER.sign(seen)).encode())
    assert checkpoint_in(note) == seen
    assert signing.check(note, [SIGNER.key]) == SIGNER.key


@given(st.data())
def test_no_change_of_one_character_is_believed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "+/=—\n "))
    changed = SIGNED[:at] + other + SIGNED[at + 1 :]
    if changed == SIGNED:
        return
    with pytest.raises(CheckpointRefused):
        signing.check(parse_note(changed.encode()), [SIGNER.key])


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else(content: bytes) -> None:
    with pytest.raises(CheckpointRefused):
        checkpoint_in(parse_note(content))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not signed"),
        (b"a\n1\nb\n", "not signed"),
        (b"a\n\n", "not signed"),
        (b"\n\n\xe2\x80\x94 a AAAAAAAA\n", "not signed"),
        (SIGNED.encode()[:-1], "does not end"),
        (SIGNED.replace("—", "-").encode(), "line 5 is no signature"),
        (SIGNED.replace("— example.com/ledger ", "— a+b ").encode(), "line 5 is no signature"),
        (SIGNED.replace("=\n", "\n").encode(), "line 5: the signature of example.com/ledger"),
        (SIGNED.replace("\n", "\r\n").encode(), "line 1 holds the control character"),
        (b"a\nb\x00\n", "line 2 holds the control character"),
        (b"a\nb\xff\n", "byte 4 is not UTF-8"),
        (b"a" * (NOTE_BYTES_MAX + 1), "65,537 bytes"),
        (("a\n\n" + "— a AAAAAAAA\n" * (SIGNATURES_MAX + 1)).encode(), "33 signatures"),
    ],
)
def test_what_is_no_note_is_refused_with_its_place(content: bytes, why: str) -> None:
    with pytest.raises(CheckpointRefused) as refused:
        checkpoint_in(parse_note(content))
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("iam-ledger/ab\n1\n", "origin, size and hash"),
        ("iam-ledger/ab\n1\n\nmore\n", "origin, size and hash"),
        ("example.com/log\n1\nAAAA\n", "line 1: `example.com/log`"),
        ("iam-ledger/\n1\nAAAA\n", "line 1"),
        ("iam-ledger/ab\n0\nAAAA\n", "line 2: `0`"),
        ("iam-ledger/ab\n042\nAAAA\n", "line 2: `042`"),
        ("iam-ledger/ab\n-1\nAAAA\n", "line 2"),
        ("iam-ledger/ab\n٤\nAAAA\n", "line 2"),
        ("iam-ledger/ab\n1\nAAAA\n", "line 3: `AAAA`"),
        (text_of(SEEN).replace("=\n", "\n"), "line 3"),
        (text_of(SEEN).replace("6s=", "6t="), "line 3"),  # the same bytes, written otherwise
    ],
)
def test_a_note_that_is_no_checkpoint_of_ours_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(CheckpointRefused) as refused:
        checkpoint_in(Note(text, ()))
    assert why in str(refused.value)


def test_lines_behind_the_third_are_signed_and_mean_nothing() -> None:
    assert checkpoint_in(Note(text_of(SEEN) + "witnessed by nobody\n", ())) == SEEN


# --- keys and signatures ----------------------------------------------------------------------


def test_a_key_reads_back_and_its_secret_is_in_no_repr() -> None:
    assert parse_key(str(SIGNER.key)) == SIGNER.key
    text = signing.private_text("example.com/ledger", b"\x07" * 32)
    assert signing.parse_signer(text).key == SIGNER.key
    assert "private" not in repr(SIGNER).casefold()


def test_a_rotated_key_has_the_same_name_and_another_id() -> None:
    assert SIGNER.key.name == ROTATED.key.name
    assert SIGNER.key.id != ROTATED.key.id


def test_a_note_of_the_old_and_the_new_key_is_believed_with_either() -> None:
    both = Note(text_of(SEEN), (*SIGNER.sign(SEEN).signatures, *ROTATED.sign(SEEN).signatures))
    note = parse_note(str(both).encode())
    assert signing.check(note, [ROTATED.key]) == ROTATED.key
    assert signing.check(note, [SIGNER.key]) == SIGNER.key
    assert signing.check(note, [ROTATED.key, SIGNER.key]) == SIGNER.key


def test_a_signature_of_nobody_we_know_proves_nothing() -> None:
    with pytest.raises(CheckpointRefused, match="none of the keys given signed it"):
        signing.check(ROTATED.sign(SEEN), [SIGNER.key])
    with pytest.raises(CheckpointRefused, match="none of the keys given signed it"):
        signing.check(SIGNER.sign(SEEN), [])


def test_one_false_signature_of_a_known_key_spoils_the_note() -> None:
    other = ROTATED.sign(replace(SEEN, size=43)).signatures
    mixed = Note(text_of(SEEN), (*SIGNER.sign(SEEN).signatures, *other))
    assert signing.check(mixed, [SIGNER.key]) == SIGNER.key
    with pytest.raises(CheckpointRefused, match="did not sign this text"):
        signing.check(mixed, [SIGNER.key, ROTATED.key])


def test_a_key_of_our_name_and_id_that_is_not_ours_is_not_believed() -> None:
    """Four bytes of id can be made to collide; only the whole key counts."""
    theirs = ROTATED.sign(SEEN).signatures[0]
    posing = Note(text_of(SEEN), (replace(theirs, key_id=SIGNER.key.id),))
    with pytest.raises(CheckpointRefused, match="did not sign this text"):
        signing.check(posing, [SIGNER.key])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PUBLISHED_PRIVATE, "a private key: keep it secret"),
        ("", "it is no key"),
        ("name", "it is no key"),
        ("name+c74f20a3+", "it is no key"),
        ("na me+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "it is no key"),
        (PUBLISHED_KEY.upper(), "it is no key"),
        (PUBLISHED_KEY.replace("c74f20a3", "c74f20a4"), "has the id c74f20a3, not c74f20a4"),
        (PUBLISHED_KEY.replace("Peter", "Paul"), "PaulNeumann has the id"),
        (PUBLISHED_KEY.replace("+AR", "+BR"), "no Ed25519 key"),
        ("short+c74f20a3+ARpc", "no Ed25519 key"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(CheckpointRefused, match=why):
        parse_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PUBLISHED_KEY,
        "PRIVATE+KEY+",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEK",
        PUBLISHED_PRIVATE.replace("c74f20a3", "c74f20a4"),
        PUBLISHED_PRIVATE.replace("AYEK", "AYEL"),
    ],
)
def test_what_is_no_private_key_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(CheckpointRefused) as refused:
        signing.parse_signer(text)
    assert "FALVFGyNhPJE" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\x01b"])
def test_what_cannot_name_a_key_is_refused(name: str) -> None:
    with pytest.raises(CheckpointRefused):
        key_name(name)


# --- judging ----------------------------------------------------------------------------------


def witness(size: int, root: str = "ab", origin: str = SEEN.origin) -> Witness:
    return Witness(f"seen-{size}", Checkpoint(origin, size, root * 32), "key")


def test_a_ledger_that_only_grew_holds() -> None:
    found = judge([witness(3)], origin=SEEN.origin, head=7, hashes={3: "ab" * 32})
    assert [verdict.wrong for verdict in found] == [None]


def test_a_cut_tail_is_told_where_it_begins() -> None:
    (found,) = judge([witness(9)], origin=SEEN.origin, head=7, hashes={})
    assert found.position == 8
    assert "saw 9 events and the ledger ends at position 7" in str(found.wrong)


def test_an_emptied_ledger_has_lost_its_tail_and_is_no_other_one() -> None:
    (found,) = judge([witness(9)], origin="iam-ledger/", head=0, hashes={})
    assert found.position == 1
    assert "the ledger ends at position 0" in str(found.wrong)


def test_a_rewritten_row_is_told_between_the_checkpoints_around_it() -> None:
    hashes = {3: "ab" * 32, 6: "cd" * 32, 9: "ef" * 32}
    found = judge([witness(9), witness(3), witness(6)], origin=SEEN.origin, head=9, hashes=hashes)
    assert [verdict.wrong is None for verdict in found] == [True, False, False]
    assert [verdict.position for verdict in found] == [3, 4, 4]
    assert "positions 4 to 6" in str(found[1].wrong)


def test_another_ledger_is_told_as_one() -> None:
    (found,) = judge(
        [witness(3, origin="iam-ledger/ffff")],
        origin=SEEN.origin,
        head=7,
        hashes={3: "ab" * 32},
    )
    assert found.position == 1
    assert "another ledger" in str(found.wrong)


def test_a_key_is_told_from_others_by_its_name_too() -> None:
    assert Key("a", SIGNER.key.public).id != Key("b", SIGNER.key.public).id
