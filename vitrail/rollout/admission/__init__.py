"""Admission: whether a version may be rolled out, judged before anybody is served by it."""
