"""Making a model better."""
