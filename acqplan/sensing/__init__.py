"""What instruments can measure: one sensing model per file."""
