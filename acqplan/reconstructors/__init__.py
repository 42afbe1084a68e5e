"""Ways to turn measured coefficients into an image: one reconstructor per file."""
