import pytest

from vitrail.basics.strict_json import MOST_BYTES, strict_json

DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "it is not JSON: Expecting value"),
        (b"{", "it is not JSON"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"[1e999]", "1e999 is larger than any number here"),
        (b"1" * 5000, "Exceeds the limit"),
        (b'{"a": 1, "a": 2}', "'a' stands in it twice"),
        (b'["\\ud800"]', "half a character"),
        (b'["\xff"]', "it is not UTF-8 (byte 2)"),
        ("[1]".encode("utf-16"), "it is not UTF-8"),
        (DEEP, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b" " * (MOST_BYTES + 1), "at most 67,108,864 were expected"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_not_json_to_every_reader_is_refused_in_words(content: bytes, fault: str) -> None:
    with pytest.raises(ValueError) as error:
        strict_json(content)
    assert fault in str(error.value)


def test_what_is_json_is_read_with_and_without_a_byte_order_mark() -> None:
    text = '{"a": [1, 2.5e3, true, null, "é", "\\ud83d\\ude00"]}'
    expected = {"a": [1, 2500.0, True, None, "é", "😀"]}
    assert strict_json(text.encode()) == strict_json(b"\xef\xbb\xbf" + text.encode()) == expected
