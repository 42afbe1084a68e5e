"""Ways to choose a pattern: learned ones and fixed ones share one contract."""
