"""From a recipe to a plan: what is trained, how, and the evidence."""
