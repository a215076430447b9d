"""The command line, in Typer and Rich: it reads options and prints results, and computes nothing."""
