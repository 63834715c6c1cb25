"""Names of the files of a package."""

CONFIG, WEIGHTS, FACTS, CARD = "config.json", "model.safetensors", "vitrail.json", "README.md"
REQUIRED = (CONFIG, WEIGHTS, FACTS, CARD)
"""What every package holds, beside the seal; parts are optional."""
