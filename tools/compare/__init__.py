"""What `tools.compare_commits` consists of: journeys, where they run, what they left, and how that is compared."""
