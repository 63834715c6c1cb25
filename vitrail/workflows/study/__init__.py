"""`vitrail study`: what is claimed about training, measured on the user's own images."""
