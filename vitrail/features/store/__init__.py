"""The feature store: a folder of Parquet shards with one row per image, written to survive anything, read in pieces."""
