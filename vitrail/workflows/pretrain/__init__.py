"""Making weights to start from: `vitrail pretrain`."""
