"""Data sets: one file each; `examples` is how the rest of the library sees them all."""
