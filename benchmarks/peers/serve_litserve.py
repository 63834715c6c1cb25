"""Peer: LitServe as its guide shows it: base64 in JSON, timm's own transform, one worker, batching where asked for.

usage: serve_litserve.py PORT PACKAGE_FOLDER|nothing [--size 224] [--batch 16] [--timeout 0.01]

With `nothing` the image is decoded and brought to its size as for a model, and a fixed answer is given for it.
"""

import argparse
import base64
import io

import litserve
import timm
import torch
from PIL import Image

ANSWER = [0.1] * 10


class Classifier(litserve.LitAPI):
    """One image, or with batching several that are stacked, to classes and probabilities."""

    def __init__(self, folder: str, size: int, **settings: object) -> None:
        super().__init__(**settings)
        self.folder, self.side = folder, size

    def setup(self, device: str) -> None:
        """Called once in the worker."""
        self.model = (
            None if self.folder == "nothing" else timm.create_model(f"local-dir:{self.folder}", pretrained=True)
        )
        if self.model is not None:
            self.model.eval().to(device)
            config = timm.data.resolve_model_data_config(self.model)
        else:
            config = {"input_size": (3, self.side, self.side), "crop_pct": 1.0}
        self.transform = timm.data.create_transform(**config)

    def decode_request(self, request: dict) -> torch.Tensor:
        """File content to a tensor."""
        content = base64.b64decode(request["image_data"])
        return self.transform(Image.open(io.BytesIO(content)).convert("RGB"))

    def predict(self, images: torch.Tensor) -> list:
        """Probabilities of one image, or of a batch."""
        alone = images.ndim == 3
        if self.model is None:
            return ANSWER if alone else [ANSWER] * len(images)
        with torch.inference_mode():
            found = self.model(images[None] if alone else images).softmax(dim=1).tolist()
        return found[0] if alone else found

    def unbatch(self, output: list) -> list:
        """One answer for each image."""
        return output

    def encode_response(self, output: list) -> dict:
        """As JSON."""
        best = max(range(len(output)), key=output.__getitem__)
        return {"prediction": f"class {best}", "probabilities": output}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=0.0)
    given = parser.parse_args()
    api = Classifier(given.folder, given.size, max_batch_size=given.batch, batch_timeout=given.timeout)
    litserve.LitServer(api, accelerator="cpu", timeout=60).run(
        host="127.0.0.1", port=given.port, generate_client_file=False, log_level="warning"
    )
