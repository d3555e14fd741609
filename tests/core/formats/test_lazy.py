"""The packages' lazy names, also where a name is that of its own module."""

import importlib
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import core.formats.chat_completions as package
assert not any(name.startswith("core.formats.chat_completions.") for name in sys.modules)
for _ in range(2):
    assert callable(package.read_request), package.read_request
from core.formats.chat_completions.read_request import read_request
from core.formats.chat_completions import read_request as again
assert package.read_request is read_request is again
"""


def test_a_name_is_the_function_before_and_after_its_module_is_imported():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=30)


def test_an_unknown_name_is_an_attribute_error():
    package = importlib.import_module("core.formats.chat_completions")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing

