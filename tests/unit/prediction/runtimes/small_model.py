import numpy as np
import timm
import torch

from tests.conftest import picture
from vitrail.data.preprocessing import Preprocessing

CPU = torch.device("cpu")
SMALL = Preprocessing(height=32, width=32)


def small_model():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=3, num_classes=4).eval()


def batch(count=3):
    return np.stack([SMALL.pixels(picture(seed, size=(40, 40))) for seed in range(count)])
