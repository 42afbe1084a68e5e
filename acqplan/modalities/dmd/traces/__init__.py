"""Traces of a single-pixel detector: the detector, files of numbers, and frames cut out of a continuous signal."""
