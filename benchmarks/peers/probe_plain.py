"""Peer: a linear probe as a practitioner writes it: timm features in float32, scikit-learn's logistic regression.

usage: probe_plain.py DATA WEIGHTS_FOLDER
"""

import json
import sys
import time

START = time.time()

import numpy as np
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

data, weights = sys.argv[1:3]
model = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=0).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))


def features(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features and labels of one split."""
    images = ImageFolder(f"{data}/{split}", transform)
    loader = DataLoader(images, batch_size=32, num_workers=1)
    with torch.inference_mode():
        parts = [(model(batch).numpy(), labels.numpy()) for batch, labels in loader]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


train, val = features("train"), features("val")
probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(*train)
print(json.dumps({"seconds": time.time() - START, "accuracy": probe.score(*val)}), flush=True)
