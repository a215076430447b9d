"""`python -m ebmkit` is the command `ebmkit`."""

import signal


def run() -> None:
    """Run the command line. Ctrl-C ends the process without a traceback also while the command is being imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # one that is ignored stays ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ebmkit.cli import main

    main.run()


if __name__ == "__main__":
    run()
