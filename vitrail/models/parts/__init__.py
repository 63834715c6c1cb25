"""The parts of a package that Vitrail knows: one file each, called as the part, with its kind in it."""
