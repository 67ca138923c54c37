"""What Google takes as a label."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from core.gcp.specs import label_value


@given(st.text(min_size=1, max_size=90))
def test_every_text_has_a_value_that_google_takes_and_that_stays(text: str) -> None:
    value = label_value(text)
    assert re.fullmatch(r"[a-z0-9_-]{1,63}", value)
    assert label_value(value) == value


def test_what_differs_stays_apart() -> None:
    texts = ("xen-4.17", "xen-4-17", "xen-4_17", "x" * 63, "x" * 64, "x" * 65)
    assert len({label_value(text) for text in texts}) == len(texts)
    assert label_value("20261123-060000-gke-Xen-ab12") == "20261123-060000-gke-xen-ab12"
