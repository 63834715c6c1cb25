"""A batch to scores: catalogue, weights, position embedding, layer order, heads, package."""
