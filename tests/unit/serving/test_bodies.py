"""What bodies of strangers hold; the rest of it is asked of a real server in `tests/journeys/test_serving_http.py`."""

import asyncio
import base64
import json
import time

import pytest

from vitrail.serving.bodies import AT_ONCE_BYTES, BodyRoom, PredictBody, predict_body
from vitrail.serving.forms import form_parts
from vitrail.serving.refusals import Refusal

IMAGE = base64.b64encode(b"an image").decode()


def body(content: bytes, kind: str = "application/json", query: tuple = (), most_images: int = 3) -> PredictBody:
    return asyncio.run(predict_body(content, {"content-type": kind}, query, most_images=most_images))


def test_the_three_forms_say_the_same() -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\nan image\r\n'
        b'--x\r\nContent-Disposition: form-data; name="user_id"\r\n\r\n7\r\n'
        b'--x\r\nContent-Disposition: form-data; name="attribute"\r\n\r\nsex:F\r\n--x--'
    )
    told = json.dumps({"image": IMAGE, "user_id": "7", "attributes": {"sex": "F"}}).encode()
    expected = PredictBody((b"an image",), "7", {"sex": "F"})
    assert body(told) == expected
    assert body(b"an image", "image/jpeg", (("user_id", "7"), ("attribute", "sex:F"))) == expected
    assert body(form, "multipart/form-data; boundary=x") == expected


def test_a_list_is_answered_by_a_list_and_what_the_address_says_goes_before_the_body() -> None:
    told = json.dumps({"images": [IMAGE], "user_id": "7", "attributes": {"sex": "F"}}).encode()
    read = body(told, query=(("user_id", "8"), ("attribute", "sex:M")))
    assert (read.many, read.user_id, read.attributes) == (True, "8", {"sex": "M"})
    assert body(json.dumps({"image": IMAGE, "user_id": "", "attributes": None}).encode()).user_id is None


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"image": IMAGE, "colour": "red"}, "unknown field 'colour'"),
        ({"images": []}, "one of `image` (base64) and `images` (a list of them) was expected"),
        ({"images": [IMAGE] * 4}, "more than 3 images in one request"),
        ({"image": [IMAGE]}, "an image is no text in base64"),
        ({"image": "Zm9v\n"}, "an image is no base64: Only base64 data is allowed"),
        ({"image": IMAGE, "attributes": {"a": 1}}, "attributes are no object of texts"),
        ({"image": IMAGE, "attributes": {"": "x"}}, "attributes and their values are 1 to 64 printable characters"),
        (
            {"image": IMAGE, "attributes": {"a": "\u202e"}},
            "attributes and their values are 1 to 64 printable characters",
        ),
    ],
)
def test_json_that_makes_no_sense_is_refused_in_words(told: dict, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        body(json.dumps(told).encode())
    assert refused.value.message == text


def test_json_that_would_become_many_objects_is_refused_before_it_is_read() -> None:
    content = b'{"images":[' + b"{}," * 6_000_000 + b"{}]}"
    began = time.perf_counter()
    with pytest.raises(Refusal, match="JSON of too many parts"):
        body(content)
    assert len(content) > AT_ONCE_BYTES and time.perf_counter() - began < 0.5


def test_bodies_together_take_no_more_room_than_there_is_and_give_it_back() -> None:
    room = BodyRoom(100)
    with room.place() as one, room.place() as other:
        one(60)
        other(30)  # the first bytes of a request are always heard
        other(10)
        with pytest.raises(Refusal) as refused:
            one(1)
        assert (refused.value.status, refused.value.retry_after) == (503, 1)
    with room.place() as again:
        again(50)
        again(50)


def test_a_form_is_read_however_hostile_its_bytes_in_a_time_that_grows_with_their_number() -> None:
    def seconds(content: bytes) -> float:
        began = time.perf_counter()
        images, _ = form_parts(
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + content + b"\r\n--x--",
            "multipart/form-data; boundary=x", most_images=3,
        )  # fmt: skip
        assert images == [content]
        return time.perf_counter() - began

    for piece in (b"\r", b"\n", b"\r\n", b"\r\n-", b"\r\n--", b"-", b"\0"):
        assert seconds(piece * (2_000_000 // len(piece))) < 1.5, piece


def test_base64_is_decoded_in_pieces_without_becoming_another_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitrail.serving.bodies.BASE64_PIECE", 8)
    for length in range(1, 30):
        image = bytes(range(length))
        text = base64.b64encode(image).decode()
        assert body(json.dumps({"image": text}).encode()).images == (image,)
    for text in ("AAAAAA==" + "AAAA", "AAAAAAAA" + "A", "AAAA=AAA", "AAAAAAAé"):
        with pytest.raises(Refusal, match="an image is no base64"):
            body(json.dumps({"image": text}).encode())
