"""Requests as each server's own guide sends them, of images that are computed: the same image for all."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

_BORDER = "vitrail-benchmark"


def image_file(width: int, height: int, *, kind: str = "JPEG") -> bytes:
    """Coarse noise made smooth: as a photograph, it is neither flat nor noise in every pixel."""
    coarse = np.random.default_rng(0).integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, kind, quality=90)
    return file.getvalue()


def written_requests(folder: Path, image: bytes) -> dict[str, str]:
    """Files of whole HTTP requests: a form (curl -F), and base64 in JSON under the name that LitServe's guide has."""
    disposition = 'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg'
    form = f"--{_BORDER}\r\n{disposition}\r\n\r\n".encode() + image + f"\r\n--{_BORDER}--\r\n".encode()
    text = json.dumps({"image_data": base64.b64encode(image).decode()}).encode()
    requests = {
        "form": _request("/v1/predict", f"multipart/form-data; boundary={_BORDER}", form),
        "base64": _request("/predict", "application/json", text),
    }
    for name, content in requests.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in requests}


def _request(address: str, kind: str, body: bytes) -> bytes:
    head = f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
