"""Features of examples: one file each; what measures compare."""
