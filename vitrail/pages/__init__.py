"""How things look: the HTML frame, SVG plots, thumbnails, words of guidance. No torch."""
