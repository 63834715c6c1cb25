"""Scripts for those who work on Vitrail; they are not part of the package."""
