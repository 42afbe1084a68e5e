"""DMD: file formats."""
