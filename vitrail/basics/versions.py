"""Which versions of what a result was made with."""

import importlib.metadata
import platform

PACKAGES = ("vitrail", "torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}
