"""What a person does with a plan, one module for each thing."""
