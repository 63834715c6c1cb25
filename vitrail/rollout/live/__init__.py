"""A rollout against servers that run: kept in their database, looked at, ticked, and brought into their routes."""
