"""Peer: plain fine-tuning by timm's own recipe, all weights in one stage. Prints one JSON line per epoch.

usage: timm_finetune.py DATA WEIGHTS_FOLDER fp32|bf16 EPOCHS TARGET SEED

It stops after the first epoch whose validation AUC is TARGET; the learning rate is planned for all EPOCHS.
"""

import json
import os
import sys
import time

START = time.time()

import timm
import torch
from sklearn.metrics import roc_auc_score
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

data, weights, precision = sys.argv[1:4]
epochs, target, seed = int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])
torch.manual_seed(seed)
model = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=2)
config = timm.data.resolve_model_data_config(model)
train = ImageFolder(f"{data}/train", timm.data.create_transform(**config, is_training=True))
val = ImageFolder(f"{data}/val", timm.data.create_transform(**config))
workers = len(os.sched_getaffinity(0))
train_loader = DataLoader(train, batch_size=32, shuffle=True, num_workers=workers, persistent_workers=True)
val_loader = DataLoader(val, batch_size=32, num_workers=workers, persistent_workers=True)
optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-4, weight_decay=0.05)
scheduler = CosineLRScheduler(optimizer, t_initial=epochs * len(train_loader), t_in_epochs=False)
loss_of = torch.nn.CrossEntropyLoss()
step = 0
for epoch in range(epochs):
    model.train()
    for images, labels in train_loader:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        scheduler.step_update(step)
    model.eval()
    scores, truth = [], []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for images, labels in val_loader:
            scores += model(images).float().softmax(1)[:, 1].tolist()
            truth += labels.tolist()
    auc = float(roc_auc_score(truth, scores))
    print(json.dumps({"epoch": epoch + 1, "seconds": time.time() - START, "auc": auc}), flush=True)
    if auc >= target:
        break
