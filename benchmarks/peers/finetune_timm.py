"""Peer: fine-tuning as a practitioner writes it from timm's ingredients. Prints one JSON line per epoch.

usage: finetune_timm.py DATA WEIGHTS_FOLDER fp32|bf16 [EPOCHS]
"""

import json
import sys
import time

START = time.time()

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

data, weights, precision = sys.argv[1:4]
epochs = int(sys.argv[4]) if len(sys.argv) > 4 else 5
torch.manual_seed(0)
model = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=2)
config = timm.data.resolve_model_data_config(model)
train = ImageFolder(f"{data}/train", timm.data.create_transform(**config, is_training=True))
val = ImageFolder(f"{data}/val", timm.data.create_transform(**config))
train_loader = DataLoader(train, batch_size=32, shuffle=True, num_workers=1, persistent_workers=True)
val_loader = DataLoader(val, batch_size=32, num_workers=1, persistent_workers=True)
optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-4, weight_decay=0.05, layer_decay=0.75)
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
    hits = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for images, labels in val_loader:
            hits += (model(images).argmax(1) == labels).sum().item()
    torch.save(model.state_dict(), sys.argv[5] if len(sys.argv) > 5 else "/dev/null")
    print(json.dumps({"epoch": epoch + 1, "seconds": time.time() - START, "accuracy": hits / len(val)}), flush=True)
