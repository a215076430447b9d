"""Init distributions: one file each."""
