"""The newest revision goes with the functions of the tree."""

import pytest

from migrations import pins
from migrations.upgrade import head


@pytest.mark.parametrize("branch", pins.BRANCHES)
def test_the_newest_revision_is_pinned_to_the_functions_of_the_tree(branch):
    stale = "functions changed: run `python -m migrations.pins`"
    assert pins.pinned(branch)[head(branch)] == pins.of_tree(branch), stale
