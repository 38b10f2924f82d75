from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.tasks.all_tasks import HEAD_SECTIONS
from pipeline.tasks.sections import TextHeadSection, Window, WindowedHeadSection


def section(**options: Any) -> TextHeadSection:
    return TextHeadSection.model_validate(options)


@pytest.mark.parametrize(
    ("options", "max_num_tokens", "expected"),
    [
        ({}, 512, Window(512, 128)),
        ({}, 40, Window(40, 10)),
        ({"window": 512}, 512, Window(512, 128)),
        ({"window": 128}, 512, Window(128, 32)),
        ({"window": 16, "stride": 7}, 512, Window(16, 7)),
        ({"stride": 0}, 512, Window(512, 0)),
        ({"stride": 255}, 512, Window(512, 255)),
    ],
)
def test_windows_fit_the_model(options: dict[str, int], max_num_tokens: int, expected: Window) -> None:
    assert section(**options).resolve_window(max_num_tokens) == expected


@pytest.mark.parametrize(
    ("options", "max_num_tokens", "problem"),
    [
        ({"window": 513}, 512, "window: found 513, expected at most 512, which the model can take"),
        ({"stride": 256}, 512, "stride: found 256, expected less than half of the window of 512 tokens"),
        ({"stride": 200}, 300, "stride: found 200, expected less than half of the window of 300 tokens"),
    ],
)
def test_windows_that_do_not_fit_are_refused(options: dict[str, int], max_num_tokens: int, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        section(**options).resolve_window(max_num_tokens)


@pytest.mark.parametrize(
    "options", [{"window": 15}, {"stride": -1}, {"window": 100, "stride": 50}, {"window": 64.0}]
)
def test_options_that_no_model_fits_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        section(**options)


@given(window=st.none() | st.integers(16, 512), stride=st.none() | st.integers(0, 400), room=st.integers(16, 512))
def test_each_window_begins_behind_the_one_before(window: int | None, stride: int | None, room: int) -> None:
    num_special = 4  # of a pair
    try:
        found = section(window=window, stride=stride).resolve_window(room)
    except ValueError:
        assert (window or 0) > room or (stride is not None and 2 * stride >= (window or room))
        return
    assert found.num_tokens - num_special - found.stride >= 1
    assert found.num_tokens <= room


def test_tasks_that_read_long_texts_have_windows() -> None:
    without = [task for task, head in HEAD_SECTIONS.items() if not issubclass(head, WindowedHeadSection)]
    assert without == ["text-generation", "translation-quality"]
    assert "window" not in HEAD_SECTIONS["text-generation"].model_fields
