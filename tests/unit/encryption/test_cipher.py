"""Ciphertexts: whatever is changed or moved does not open, and no nonce comes twice."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.encryption.cipher import HEAD_BYTES, Cipher, Place, count_of, is_encrypted, key_id_of
from rco.encryption.wrapping import unwrapped, wrapped
from rco.errors import EvidenceBroken

KEY_ID = bytes(range(16))
OWNER = b"r" * 16


def cipher(namespace: str = "default", key: bytes = b"k" * 32, session: bytes = b"s" * 16) -> Cipher:
    return Cipher(namespace, KEY_ID, key, session, os.urandom)


def opens(by: Cipher, data: bytes, place: Place = Place.JOURNAL, owner: bytes = OWNER, number: int = 3) -> bool:
    try:
        by.decrypt(place, owner, number, data)
    except EvidenceBroken:
        return False
    return True


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 2**32 - 1))
def test_what_goes_in_comes_out_at_its_place_in_any_process(data: bytes, count: int) -> None:
    made = cipher().encrypt(Place.JOURNAL, OWNER, 3, data, count)
    assert is_encrypted(made)
    assert (key_id_of(made), count_of(made)) == (KEY_ID, count)
    # What stands in front has zeros of its own.
    assert data not in made[HEAD_BYTES:] or len(data) < 3
    assert cipher(session=os.urandom(16)).decrypt(Place.JOURNAL, OWNER, 3, made) == data


@settings(deadline=None)
@given(st.binary(max_size=200), st.data())
def test_any_flipped_bit_and_any_cut_is_refused(data: bytes, draw: st.DataObject) -> None:
    made = cipher().encrypt(Place.JOURNAL, OWNER, 3, data, 2)
    bad = bytearray(made)
    # The key's id leads to the key: with another one it is not even tried.
    place = draw.draw(st.sampled_from([at for at in range(len(made)) if at >= 20 or at < 4]))
    bad[place] ^= 1 << draw.draw(st.integers(0, 7))
    assert not opens(cipher(), bytes(bad))
    assert not opens(cipher(), made[:-1])
    assert not opens(cipher(), made + b"\0")
    assert opens(cipher(), made)


def test_what_is_cut_within_its_head_is_refused_like_any_cut() -> None:
    made = cipher().encrypt(Place.JOURNAL, OWNER, 3, b"data")
    assert not any(opens(cipher(), made[:length]) for length in range(len(made)))


def test_it_opens_nowhere_else() -> None:
    made = cipher().encrypt(Place.JOURNAL, OWNER, 3, b"secret")
    assert opens(cipher(), made)
    assert not opens(cipher(), made, place=Place.DETAIL)
    assert not opens(cipher(), made, owner=b"q" * 16)
    assert not opens(cipher(), made, number=4)
    assert not opens(cipher("other"), made)
    assert not opens(cipher(key=b"l" * 32), made)


def test_no_nonce_comes_twice_in_a_process_nor_under_one_key_in_two() -> None:
    one, two = cipher(), cipher(session=b"t" * 16)
    made = [by.encrypt(Place.JOURNAL, OWNER, 3, b"") for _ in range(5000) for by in (one, two)]
    assert len({data[20 : HEAD_BYTES - 4] for data in made}) == len(made)
    counted = [data[36:42] for data in made[::2]]
    assert len(set(counted)) == len(counted), "even if chance gave the same twice"


def test_its_key_is_in_nothing_that_is_shown() -> None:
    shown = repr(cipher()) + str(vars(cipher()) if hasattr(cipher(), "__dict__") else "")
    assert "k" * 32 not in shown


class Root:
    def __init__(self, kid: str, key: bytes) -> None:
        self.kid, self.wrap_key = kid, key


def test_a_wrapped_key_opens_under_its_root_for_its_namespace_alone() -> None:
    root = Root("k1", b"w" * 32)
    made = wrapped(root, "a", KEY_ID, b"data key of 32 bytes, more or le", os.urandom)
    assert unwrapped(root, "a", KEY_ID, made) == b"data key of 32 bytes, more or le"
    assert unwrapped(root, "b", KEY_ID, made) is None
    assert unwrapped(root, "a", bytes(16), made) is None
    assert unwrapped(Root("k2", b"w" * 32), "a", KEY_ID, made) is None
    assert unwrapped(Root("k1", b"x" * 32), "a", KEY_ID, made) is None
    assert unwrapped(root, "a", KEY_ID, b"") is None
    for at in range(len(made)):
        bad = bytearray(made)
        bad[at] ^= 1
        assert unwrapped(root, "a", KEY_ID, bytes(bad)) is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xffRC1", b'{"a":1}', b"\x00\x00\x00\x05hello", bytes(200)])
def test_what_is_no_ciphertext_is_not_taken_for_one(data: bytes) -> None:
    assert not is_encrypted(data)
