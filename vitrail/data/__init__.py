"""Files to batches: the image table, reading, inspection, split, preprocessing, loading. No torch."""
