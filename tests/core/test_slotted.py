"""Slotted classes behave as dataclasses do, where the gateway and its tools rely on it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from core.slotted import field, replace, slotted


@slotted
class Parcel:
    """Something with one member of every kind."""

    name: str
    weight: float = 1.0
    labels: list[str] = field(default_factory=list)
    secret: str = field(default="s", repr=False)
    size: int = field(init=False)
    lid: str = field(default="shut", init=False)
    seals: list[int] = field(default_factory=lambda: [1], init=False)

    def __post_init__(self) -> None:
        self.size = len(self.name)

    def heavier(self) -> Parcel:
        return copy.replace(self, weight=self.weight * 2)


@dataclasses.dataclass(slots=True)
class SameParcel:
    """The same, as the standard library makes it."""

    name: str
    weight: float = 1.0
    labels: list[str] = dataclasses.field(default_factory=list)
    secret: str = dataclasses.field(default="s", repr=False)
    size: int = dataclasses.field(init=False)
    lid: str = dataclasses.field(default="shut", init=False)
    seals: list[int] = dataclasses.field(default_factory=lambda: [1], init=False)

    def __post_init__(self) -> None:
        self.size = len(self.name)


@slotted(frozen=True)
class Place:
    street: str
    number: int | None = None


@slotted
class Nothing:
    """Without members."""


@pytest.mark.parametrize(
    "arguments",
    [
        ((), {"name": "a"}),
        (("a",), {}),
        (("a", 2.0, ["x"], "t"), {}),
        (("a",), {"labels": ["y"], "weight": 3.0}),
    ],
)
def test_the_same_arguments_give_the_same_members(arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    positional, named = arguments
    theirs = SameParcel(*positional, **named)
    for _ in range(20):  # the first ones, and those after `__init__` was compiled
        ours = Parcel(*positional, **named)
        assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
        assert repr(ours) == repr(theirs).replace("SameParcel", "Parcel")


@pytest.mark.parametrize("make", [Parcel, SameParcel])
@pytest.mark.parametrize("arguments", [{}, {"name": "a", "size": 1}, {"name": "a", "unknown": 1}])
def test_wrong_arguments_are_type_errors(make: Callable[..., object], arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        make(**arguments)


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a",), {"name": "b"}), (("a",), {"other": 1}), (("a", 1, 2), {}), ((), {"number": 1})],
)
def test_wrong_arguments_are_told_as_python_does_by_the_first_instance_and_by_later_ones(
    values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    @slotted
    class Place:
        street: str
        number: int | None = None

    @dataclasses.dataclass(slots=True)
    class Same:
        street: str
        number: int | None = None

    with pytest.raises(TypeError) as theirs:
        Same(*values, **named)
    for _ in range(2):
        with pytest.raises(TypeError) as ours:
            Place(*values, **named)
        assert str(ours.value) == str(theirs.value).rpartition(".<locals>.")[2].replace("Same", "Place")


def test_the_init_is_compiled_once_for_all_instances_after_the_first_ones() -> None:
    @slotted
    class Often:
        name: str
        number: int | None = None

    first = Often("a")
    uncompiled = Often.__init__
    while Often.__init__ is uncompiled:
        assert Often("a") == first
    made = Often.__init__
    assert Often("a") == first
    assert Often.__init__ is made
    assert made.__qualname__.endswith("Often.__init__")


def test_each_instance_has_its_own_factory_made_default() -> None:
    one, other = Parcel("a"), Parcel("a")
    one.labels.append("x")
    assert other.labels == []
    assert one != other


def test_only_members_fit_in() -> None:
    parcel = Parcel("a")
    with pytest.raises(AttributeError):
        parcel.colour = "red"  # type: ignore[attr-defined]
    assert Parcel.__slots__ == ("name", "weight", "labels", "secret", "size", "lid", "seals")  # type: ignore[attr-defined]


def test_equality_is_within_one_class() -> None:
    assert Place("a", 1) == Place("a", 1)
    assert Place("a", 1) != Place("a", 2)
    assert Place("a") != Nothing()  # type: ignore[comparison-overlap]
    assert Nothing() == Nothing()


def test_frozen_instances_are_hashable_and_others_are_not() -> None:
    assert {Place("a"): 1}[Place("a")] == 1
    with pytest.raises(TypeError):
        hash(Parcel("a"))


def test_replace_keeps_the_rest() -> None:
    parcel = Parcel("ab", labels=["x"])
    parcel.lid = "open"
    heavier = parcel.heavier()
    assert (heavier.weight, heavier.labels, heavier.size, heavier.lid) == (2.0, ["x"], 2, "shut")
    assert replace(Place("a", 1), number=2) == copy.replace(Place("a", 1), number=2)
    assert dataclasses.replace(Place("a", 1), number=2) == Place("a", 2)
    with pytest.raises(TypeError):
        copy.replace(parcel, unknown=1)  # type: ignore[call-arg]


def test_copies_and_patterns() -> None:
    match copy.deepcopy(Place("a", 7)):
        case Place(street, number):
            assert (street, number) == ("a", 7)


def test_the_standard_library_takes_them_for_dataclasses() -> None:
    ours, theirs = dataclasses.fields(Parcel), dataclasses.fields(SameParcel)
    assert [(item.name, item.init, item.repr, item.default) for item in ours] == [
        (item.name, item.init, item.repr, item.default) for item in theirs
    ]
    assert ours[2].default_factory is list
    assert dataclasses.is_dataclass(Nothing)


def test_a_method_of_the_class_itself_stays() -> None:
    @slotted
    class Loud:
        name: str

        def __repr__(self) -> str:
            return self.name.upper()

    assert repr(Loud("a")) == "A"


def test_a_base_is_refused() -> None:
    with pytest.raises(TypeError, match="a slotted class has no base"):

        @slotted
        class Box(Parcel):
            depth: int = 1
