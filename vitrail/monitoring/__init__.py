"""Live figures, health and truth: what came out of models lately, and how good it was. Knows nothing of HTTP."""
