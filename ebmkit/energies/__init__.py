"""Energies: one file per architecture."""
