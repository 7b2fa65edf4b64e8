"""What the user asked for on the screen, for the whole process."""

from __future__ import annotations


class Settings:
    """The settings.

    Attributes:
        quiet: Whether only results, warnings and errors are printed.
    """

    quiet: bool = False


SETTINGS = Settings()


def silence() -> None:
    """From now on no bars are shown in this process, and no lines that only say what happens."""
    SETTINGS.quiet = True
