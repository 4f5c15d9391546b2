"""Messages survive the wire; what is no message is refused in one way, whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.studio.wire import WireError, decode, encode

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text().filter(lambda key: key != "blobs"), JSON, max_size=4),
    st.lists(st.binary(max_size=40), max_size=4),
)
def test_what_is_sent_arrives(message, blobs):
    message.pop("blobs", None)
    assert decode(encode(message, blobs)) == (message, blobs)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_else_is_refused(data):
    try:
        message, _ = decode(data)
    except WireError:
        return
    assert isinstance(message, dict)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[1]", "JSON of a list"),
        ("{", "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 13 + "1" + "}" * 13, "12 deep"),
        (b"\x01", "1 bytes that end"),
        (b"\xff\xff\xff\xff{}", "6 bytes that end"),
        (b"\x02\x00\x00\x00{}", "blobs must list"),
        (b"\x0e\x00\x00\x00" + b'{"blobs":[-1]}', "blobs must list"),
        (b"\x10\x00\x00\x00" + b'{"blobs":[true]}' + b"x", "blobs must list"),
        (b"\x0d\x00\x00\x00" + b'{"blobs":[9]}' + b"abc", "say 9 bytes, 3 came"),
        (encode({}, [b""] * 65), "up to 64 lengths"),
    ],
)
def test_refusals(data, words):
    with pytest.raises(WireError, match=words):
        decode(data)


def test_numbers_that_json_lacks_are_not_sent():
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})
    assert json.loads(encode({"a": 1.5})) == {"a": 1.5}
