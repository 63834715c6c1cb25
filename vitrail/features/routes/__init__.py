"""Three ways to the inside of a model: its own layer groups, hooks that stop the forward, a pruned graph."""
