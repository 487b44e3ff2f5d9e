"""The bytes that are hashed and signed are RFC 8785, whichever of the two encoders wrote them."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lamba_campaigns.lib.canonical import canonical_bytes

LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.floats(-1e9, 1e9)
VALUES = st.recursive(
    LEAVES, lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=6), each, max_size=4)
)


@given(VALUES)
def test_the_bytes_are_those_of_the_standard(value: object) -> None:
    try:
        expected = rfc8785.dumps(value)  # type: ignore[arg-type]
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            canonical_bytes(value)
    else:
        assert canonical_bytes(value) == expected


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), {1: "a"}, {"a": {True: 1}}, "\ud800", {"a": b""}])
def test_what_the_standard_can_not_write_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_bytes(value)


def test_keys_are_ordered_by_their_utf16_form() -> None:
    assert canonical_bytes({"\ufb33": 1, "\U0001f600": 2}).decode() == '{"\U0001f600":2,"\ufb33":1}'
