"""Reading once, replacing a member, touching nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ClientFault
from core.json_edit import dump, load, read_object

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=6)


@given(value=OBJECTS, indent=st.sampled_from([None, 1, "\t"]), ascii_only=st.booleans())
def test_reads_what_json_reads_and_changes_nothing(value: dict[str, object], indent: int, ascii_only: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        with pytest.raises(ClientFault):
            read_object(body)
        return
    document = read_object(body)
    assert document.values == value
    assert document.edited() == body


@given(value=OBJECTS, name=st.text(max_size=5), new=JSON_VALUES)
def test_an_edit_changes_one_member(value: dict[str, object], name: str, new: object) -> None:
    document = read_object(json.dumps(value).encode())
    document.set(name, new)
    assert json.loads(document.edited()) == {**value, name: new}


@given(value=OBJECTS, name=st.text(max_size=5), new=JSON_VALUES)
def test_removal_leaves_the_others(value: dict[str, object], name: str, new: object) -> None:
    document = read_object(json.dumps({**value, "gone": 1, "kept": 2}).encode())
    document.remove("gone")
    document.remove("was never there")
    document.set("kept", new)
    document.set("added", new)
    expected = {**value, "kept": new, "added": new}
    assert json.loads(document.edited()) == {name: expected[name] for name in expected if name != "gone"}


def test_only_the_members_own_bytes_change() -> None:
    document = read_object(b' {"a" : [1.50, {"model": "x"}],\n  "model":\t"old" , "z":"\\u00e9"}\n')
    document.set("model", "new")
    assert document.edited() == b' {"a" : [1.50, {"model": "x"}],\n  "model":\t"new" , "z":"\\u00e9"}\n'
    document.set("extra", 1)
    assert document.edited().endswith(b'"z":"\\u00e9", "extra": 1}\n')


def test_adding_to_an_empty_object() -> None:
    document = read_object(b"{ }")
    document.set("a", 1)
    assert json.loads(document.edited()) == {"a": 1}


def test_truncations_are_bad_requests() -> None:
    whole = b'{"a": [1, true, null, "x\\n"], "b": {"c": -1.5e3}}'
    for cut in range(len(whole)):
        with pytest.raises(ClientFault):
            read_object(whole[:cut])


@pytest.mark.parametrize("body", [b'{"\\u0061" 1}', b'{"\\u0061"', b'{"\\u0061"}', b'{"a": 1, \\u0061: 2}'])
def test_names_with_escapes_are_followed_by_a_colon(body: bytes) -> None:
    with pytest.raises(ClientFault):
        read_object(body)


def test_dump_keeps_text_and_survives_lone_surrogates() -> None:
    assert dump({"a": "é\u2028"}) == '{"a":"é\u2028"}'.encode()
    assert dump({"a": "\ud800"}) == b'{"a":"\\ud800"}'


@pytest.mark.parametrize("data", ['{"a": [1, "é"]}', b'{"a": "\xc3\xa9"}', ' {"a":1}\n', b"\xef\xbb\xbf[1]", '"x"'])
def test_what_load_reads_is_what_json_reads(data: str | bytes) -> None:
    assert load(data) == json.loads(data)


@pytest.mark.parametrize("data", ["", "{", "[1] 2", b"\xff", "nul"])
def test_what_is_no_json_is_a_value_error(data: str | bytes) -> None:
    with pytest.raises(ValueError):
        load(data)


def test_what_is_no_json_value_is_not_dumped() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        dump({"a": {1}})
