"""MRI: file formats."""
