"""A check that a call is refused with one line."""

import pytest

from ebmkit.errors import UsageError


def refused(match, what, *given, **settings):
    """Check that `what(*given, **settings)` raises a UsageError whose single line matches."""
    with pytest.raises(UsageError, match=match) as error:
        what(*given, **settings)
    assert "\n" not in str(error.value)
