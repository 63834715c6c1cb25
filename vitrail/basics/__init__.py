"""What every room may use: errors with hints, settings, seeds, devices, events, files, the run folder."""
