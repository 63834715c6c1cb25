"""Models: a batch in, scores out; which weights they hold, in which order their layers run, and how they are packed."""
