<<<<<<< HEAD
"""Changing what serves: the version store, admission, and the way of a new version into the traffic."""
=======
"""Changing what serves: a candidate takes the place of the stable model step by step, or users keep what they have."""
>>>>>>> S18
