"""MRI: Fourier encoding of lines or points."""
