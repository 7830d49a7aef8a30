# SPDX-License-Identifier: MIT
"""Hashes of keys: what the core computes is what an independent implementation does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfaster import _cabi
from pyfaster.errors import ConfigError
from pyfaster_codecs import reference_hash
from pyfaster_codecs._hashes import DEFAULT, OFFERED

CHOICES = [DEFAULT, *OFFERED]


@pytest.mark.parametrize("choice", CHOICES)
@given(data=st.binary(max_size=2000), seed=st.integers(0, 2**64 - 1))
def test_the_core_agrees(choice: object, data: bytes, seed: int) -> None:
    """The core's hash of any bytes with any seed is the reference's."""
    assert choice in CHOICES
    number, name = choice.native_id, choice.name
    assert _cabi.hash_bytes(number, data, seed) == reference_hash(name, data, seed)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_core_agrees_at_every_length(choice: object) -> None:
    """All short lengths, where the algorithms change their ways, agree."""
    data = bytes(i * 131 % 256 for i in range(1100))
    number, name = choice.native_id, choice.name
    for size in range(1100):
        part = data[:size]
        assert _cabi.hash_bytes(number, part) == reference_hash(name, part), size


def test_published_numbers() -> None:
    """The numbers of the algorithms' own test vectors for nothing at all."""
    assert reference_hash("xxh3", b"") == 0x2D06800538D394C2
    assert reference_hash("xxh64", b"") == 0xEF46DB3751D8E999


def test_other_names_and_seeds_are_refused() -> None:
    """An unknown hash and a seed out of range are refused with the choices."""
    with pytest.raises(ConfigError, match="choose one of xxh3, xxh64"):
        reference_hash("md5", b"")
    for seed in (-1, 2**64):
        with pytest.raises(ConfigError, match="outside 0"):
            reference_hash("xxh3", b"", seed)
