"""Images made from formulas: every class is a set of numbers drawn once, so labels cost nothing and nobody is shown."""
