"""MRI: images of fully sampled raw data."""
