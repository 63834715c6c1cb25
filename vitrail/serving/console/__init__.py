"""The console at `/`: a page that shows panels which are handed in."""
