"""The command line: Typer and Rich, and no logic of its own."""
