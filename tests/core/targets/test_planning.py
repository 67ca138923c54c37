"""What a person sets reaches the plan, and what was not set stays the profile's."""

from __future__ import annotations

import pytest

from core.run.journal import Journal
from core.settings import Settings
from core.targets.planning import plan_of


@pytest.mark.parametrize(
    ("profile", "given", "planned"),
    [
        ("quick", None, False),
        ("quick", True, True),
        ("reference", None, True),
        ("reference", False, False),
    ],
)
def test_probes_run_as_the_setting_says_else_as_the_profile_does(
    journal: Journal, profile: str, given: bool | None, planned: bool
) -> None:
    plan, _note = plan_of(Settings(profile=profile, probes=given), journal)
    assert plan.probes is planned
