"""MRI: orders of acquisition."""
