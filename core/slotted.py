"""Value classes that cost next to nothing to define: `@slotted`, in the place of `@dataclass(slots=True)`.

`dataclasses` writes and compiles the methods of each class when its module is loaded: 0.2 to 1 ms a class, which
was half of a cold start. Here the methods are shared by all classes, and the one that has to be fast, `__init__`, is
compiled when some instances have been made: a cold start makes one or two of most classes. Type checkers take a slotted
class for a dataclass (https://typing.python.org/en/latest/spec/dataclasses.html#the-dataclass-transform-decorator).

What it has: positional and keyword arguments, defaults, `field`, `__post_init__`, equality, a repr, positional
patterns, `replace` (this module's and `copy`'s), and for `dataclasses` (fields, asdict, is_dataclass) it is a
dataclass. What it has not: inheritance, ordering, and a guard at run time against changing a frozen instance:
`frozen` is the type checker's to enforce, and makes instances hashable.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, dataclass_transform, overload

if TYPE_CHECKING:  # the same function, of which type checkers know more: they check its arguments, and unions
    from dataclasses import replace
else:

    def replace(instance: Any, /, **changes: Any) -> Any:
        """A copy with `changes`."""
        return instance.__replace__(**changes)


__all__ = ["Field", "field", "replace", "slotted"]

_UNSET: Any = object()
# Setting the members one by one takes a few microseconds, compiling `__init__` a hundred: that pays after some dozens,
# and what is made again and again is soon there.
_INSTANCES_BEFORE_COMPILING = 8
# What most factories make, without a call.
_LITERALS: dict[Any, str] = {dict: "{}", list: "[]"}


class Field:
    """What `field` was told about one member. Class bodies hold it as the member's default."""

    __slots__ = ("default", "factory", "init", "repr")

    def __init__(self, default: Any, factory: Callable[[], Any] | None, init: bool, repr: bool) -> None:
        self.default = default
        self.factory = factory
        self.init = init
        self.repr = repr


def field(
    *,
    default: Any = _UNSET,
    default_factory: Callable[[], Any] | None = None,
    init: bool = True,
    repr: bool = True,
) -> Any:
    """A member whose default is made anew for each instance, or that is no argument, or that no repr shows."""
    return Field(default, default_factory, init, repr)


@overload
def slotted[T](cls: type[T], /) -> type[T]: ...
@overload
def slotted[T](*, frozen: bool) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(field_specifiers=(field,))
def slotted(cls: type[Any] | None = None, /, *, frozen: bool = False) -> Any:
    """The class again, with a slot for each annotated member. Raises TypeError for a class that has a base."""
    if cls is None:
        return lambda named: _made(named, frozen)
    return _made(cls, frozen)


def _made(cls: type[Any], frozen: bool) -> type[Any]:
    if cls.__bases__ != (object,):
        raise TypeError(f"{cls.__name__}: a slotted class has no base")
    members = dict(cls.__dict__)
    names = tuple(members.get("__annotations__", ()))
    defaults = {name: members.pop(name) for name in names if name in members}
    for name in ("__dict__", "__weakref__"):
        members.pop(name, None)
    members["__slots__"] = members["__match_args__"] = names
    members["__slotted_defaults__"] = defaults
    for name, method in _METHODS.items():
        members.setdefault(name, method)
    members.setdefault("__hash__", _hash if frozen else None)
    made = type(cls.__name__, (object,), members)
    left = _INSTANCES_BEFORE_COMPILING

    def first_init(self: Any, *values: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0 and _is_filled(self, (names, defaults), values, named):
            return
        initialise = _compiled_init(made, names, defaults)
        made.__init__ = initialise  # type: ignore[misc]
        initialise(self, *values, **named)

    made.__init__ = first_init  # type: ignore[misc]
    return made


def _is_filled(
    instance: Any, members: tuple[tuple[str, ...], dict[str, Any]], values: tuple[Any, ...], named: dict[str, Any]
) -> bool:
    """Sets the members as `__init__` does. False where the arguments do not fit: how is for a compiled one to say."""
    names, defaults = members
    position = by_name = 0
    for name in names:
        default = _as_field(defaults.get(name, _UNSET))
        if default.init and position < len(values):
            value = values[position]
            position += 1
        elif default.init and name in named:
            value = named[name]
            by_name += 1
        elif default.factory is not None:
            value = default.factory()
        elif default.default is not _UNSET:
            value = default.default
        elif default.init:
            return False
        else:
            continue  # left to __post_init__
        setattr(instance, name, value)
    if position < len(values) or by_name < len(named):
        return False
    if hasattr(instance, "__post_init__"):
        instance.__post_init__()
    return True


def _compiled_init(cls: type[Any], names: tuple[str, ...], defaults: dict[str, Any]) -> Callable[..., None]:
    """`__init__` as one would write it by hand."""
    scope: dict[str, Any] = {}
    parameters, statements = ["self"], []
    for name in names:
        default = _as_field(defaults.get(name, _UNSET))
        value = name
        if default.factory is not None:
            scope[f"_make_{name}"] = default.factory
            scope["_unset"] = _UNSET
            parameters += [f"{name}=_unset"] if default.init else []
            made = _LITERALS.get(default.factory) or f"_make_{name}()"
            value = f"{name} if {name} is not _unset else {made}" if default.init else made
        elif default.default is not _UNSET:
            scope[f"_{name}"] = default.default
            parameters += [f"{name}=_{name}"] if default.init else []
            value = name if default.init else f"_{name}"
        elif default.init:
            parameters.append(name)
        else:
            continue  # left to __post_init__
        statements.append(f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        statements.append("self.__post_init__()")
    body = "\n ".join(statements or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n {body}\n", scope)  # noqa: S102 made of names of the class only
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return cast("Callable[..., None]", scope["__init__"])


def _values(instance: Any) -> list[Any]:
    return [getattr(instance, name) for name in instance.__slots__]


def _replace(self: Any, /, **changes: Any) -> Any:
    """Written for each class when it is first needed, as `__init__` is: translation copies hundreds of blocks."""
    cls = self.__class__
    names = [name for name in cls.__slots__ if _as_field(cls.__slotted_defaults__.get(name)).init]
    scope: dict[str, Any] = {"cls": cls, "new": object.__new__, "names": frozenset(names)}
    if hasattr(cls, "__post_init__") or len(names) < len(cls.__slots__):
        kept = ", ".join(f"{name!r}: self.{name}" for name in names)
        lines = [f"return cls(**({{{kept}}} | changes))"]
    else:
        # Nothing but members: they are copied without asking `__init__`, which would look for their defaults.
        lines = ["if not changes.keys() <= names: return cls(**changes)  # which says what is wrong", "copy = new(cls)"]
        lines += [f"copy.{name} = self.{name}" for name in names]
        lines += ["for name in changes: setattr(copy, name, changes[name])", "return copy"]
    code = "def __replace__(self, /, **changes):\n " + "\n ".join(lines) + "\n"
    exec(code, scope)  # noqa: S102 made of names of the class only
    cls.__replace__ = scope["__replace__"]
    return cls.__replace__(self, **changes)


def _as_field(default: Any) -> Field:
    return default if isinstance(default, Field) else Field(default, None, init=True, repr=True)


def _equal(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(tuple(_values(self)))


def _repr(self: Any) -> str:
    defaults = self.__slotted_defaults__
    shown = [f"{name}={getattr(self, name)!r}" for name in self.__slots__ if _as_field(defaults.get(name)).repr]
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


class _DataclassFields:
    """`__dataclass_fields__`, made when something first asks for it."""

    def __get__(self, instance: object, cls: type[Any]) -> dict[str, Any]:
        dataclasses = import_module("dataclasses")
        rows = []
        for name in cls.__slots__:
            default = _as_field(cls.__slotted_defaults__.get(name, _UNSET))
            options: dict[str, Any] = {"init": default.init, "repr": default.repr}
            if default.factory is not None:
                options["default_factory"] = default.factory
            elif default.default is not _UNSET:
                options["default"] = default.default
            rows.append((name, cls.__annotations__[name], dataclasses.field(**options)))
        shadow = dataclasses.make_dataclass(cls.__name__, rows)
        cls.__dataclass_fields__ = shadow.__dataclass_fields__
        return cast("dict[str, Any]", cls.__dataclass_fields__)


_METHODS: dict[str, Any] = {
    "__eq__": _equal,
    "__repr__": _repr,
    "__replace__": _replace,
    "__dataclass_fields__": _DataclassFields(),
}
