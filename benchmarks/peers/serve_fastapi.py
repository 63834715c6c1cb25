"""Peer: FastAPI as its guide shows it: an uploaded file, a plain `def`, timm's own transform, torch.

usage: serve_fastapi.py PORT PACKAGE_FOLDER|nothing [--size 224]

With `nothing` the image is decoded and brought to its size as for a model, and a fixed answer is given for it.
"""

import argparse

import timm
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

ANSWER = [0.1] * 10
parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("folder")
parser.add_argument("--size", type=int, default=224)
given = parser.parse_args()

model = None if given.folder == "nothing" else timm.create_model(f"local-dir:{given.folder}", pretrained=True).eval()
nothing = {"input_size": (3, given.size, given.size), "crop_pct": 1.0}
transform = timm.data.create_transform(**(timm.data.resolve_model_data_config(model) if model else nothing))
app = FastAPI()


@app.post("/v1/predict")
def predict(image: UploadFile) -> dict:
    """One image to class and probabilities."""
    pixels = transform(Image.open(image.file).convert("RGB"))
    if model is None:
        found = ANSWER
    else:
        with torch.inference_mode():
            found = model(pixels[None]).softmax(dim=1)[0].tolist()
    best = max(range(len(found)), key=found.__getitem__)
    return {"prediction": f"class {best}", "probabilities": found}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)
