"""Damaged and hostile inputs for everything that reads a file or a text of the user.

`python -m fuzz` runs all of it in the folder tests/, or `make fuzz` in the root. Each kind of input has valid examples,
mutations of their bytes, and inputs that are well formed but have wrong values. What reads them must return, or raise a
`UsageError` of one short line, within bounds of time and memory, and must not leave its folder: see `fuzz.guard`.
"""
