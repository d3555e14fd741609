"""A deferred module is the real one as soon as somebody asks it for something."""

from __future__ import annotations

import importlib
import sys

import pytest

from handlers.deferred import Deferred, defer


@pytest.fixture(autouse=True)
def _unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)


def test_an_import_loads_nothing_and_an_attribute_everything() -> None:
    defer(("colorsys",))
    stand_in = importlib.import_module("colorsys")
    assert isinstance(stand_in, Deferred)
    assert stand_in.rgb_to_hsv(1, 1, 1) == (0.0, 0.0, 1)
    assert not isinstance(sys.modules["colorsys"], Deferred)
    assert stand_in.hsv_to_rgb is sys.modules["colorsys"].hsv_to_rgb


def test_who_has_the_stand_in_gets_the_module_that_was_loaded_since() -> None:
    defer(("colorsys",))
    stand_in = sys.modules.pop("colorsys")
    real = importlib.import_module("colorsys")
    assert stand_in.ONE_THIRD == real.ONE_THIRD
    assert sys.modules["colorsys"] is real


def test_what_is_loaded_stays() -> None:
    real = importlib.import_module("inspect")
    defer()
    assert sys.modules["inspect"] is real


def test_a_name_that_the_module_has_not_is_an_attribute_error() -> None:
    defer(("colorsys",))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sys.modules["colorsys"].nothing
