"""Single-pixel imaging: Hadamard patterns of a digital micromirror device (DMD)."""
