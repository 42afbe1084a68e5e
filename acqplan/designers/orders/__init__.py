"""Ways to order what a pattern measures in time: one order per file."""
