"""DMD: orders of acquisition."""
