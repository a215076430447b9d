"""`python -m ebmkit` is the command `ebmkit`."""

from ebmkit.cli.main import run

run()
