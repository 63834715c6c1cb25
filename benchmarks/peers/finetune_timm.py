"""Peer: fine-tuning as a practitioner writes it from timm's ingredients. Prints one JSON line per epoch.

It stops after the first epoch whose validation AUC is `--auc`; the learning rate is planned for all epochs.
"""

import argparse
import json
import os
import time

START = time.time()

import timm
import torch
from sklearn.metrics import roc_auc_score
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

parser = argparse.ArgumentParser(description="Fine-tuning by timm's own recipe, all weights in one stage.")
parser.add_argument("data", help="folder with train/ and val/, two classes")
parser.add_argument("weights", help="timm folder of a pretrained network")
parser.add_argument("precision", choices=("fp32", "bf16"))
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--layer-decay", type=float)
parser.add_argument("--auc", type=float, default=float("inf"))
parser.add_argument("--seed", type=int, default=0)
asked = parser.parse_args()

torch.manual_seed(asked.seed)
model = timm.create_model(f"local-dir:{asked.weights}", pretrained=True, num_classes=2)
config = timm.data.resolve_model_data_config(model)
train = ImageFolder(f"{asked.data}/train", timm.data.create_transform(**config, is_training=True))
val = ImageFolder(f"{asked.data}/val", timm.data.create_transform(**config))
workers = len(os.sched_getaffinity(0))
train_loader = DataLoader(train, batch_size=32, shuffle=True, num_workers=workers, persistent_workers=True)
val_loader = DataLoader(val, batch_size=32, num_workers=workers, persistent_workers=True)
optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-4, weight_decay=0.05, layer_decay=asked.layer_decay)
scheduler = CosineLRScheduler(optimizer, t_initial=asked.epochs * len(train_loader), t_in_epochs=False)
loss_of = torch.nn.CrossEntropyLoss()
autocast = torch.autocast("cpu", torch.bfloat16, enabled=asked.precision == "bf16")
step = 0
for epoch in range(asked.epochs):
    model.train()
    for images, labels in train_loader:
        with autocast:
            loss = loss_of(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        scheduler.step_update(step)
    model.eval()
    scores, truth = [], []
    with torch.inference_mode(), autocast:
        for images, labels in val_loader:
            scores += model(images).float().softmax(1)[:, 1].tolist()
            truth += labels.tolist()
    accuracy = sum((score > 0.5) == label for score, label in zip(scores, truth, strict=True)) / len(truth)
    auc = float(roc_auc_score(truth, scores))
    print(
        json.dumps({"epoch": epoch + 1, "seconds": time.time() - START, "accuracy": accuracy, "auc": auc}), flush=True
    )
    if auc >= asked.auc:
        break
