"""What is planned: the recipe, the plan, its file, and what acquired data are held against."""
