"""`vitrail fit`: from a data set to a packaged classifier and a report."""
