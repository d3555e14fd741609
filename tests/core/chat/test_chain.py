"""What the steps of a chain are asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from core.chat.chain import NEXT_TEMPLATE, filled, handed_on, of_step, step_prompt
from core.chat.messages import Said
from core.errors import ClientFault


def test_places_are_filled_once() -> None:
    assert filled("{input}|{previous}|{other}|{{input}}", "{previous}", "p") == "{previous}|p|{other}|{{previous}}"


@given(some.text(), some.text())
def test_what_is_filled_in_is_as_it_was(given_text: str, previous: str) -> None:
    assert filled("<{input}><{previous}>", given_text, previous) == f"<{given_text}><{previous}>"


def test_the_first_step_sees_the_message_the_next_ones_the_answer_too() -> None:
    assert step_prompt(None, 0, "q", "") == "q"
    assert step_prompt(None, 1, "q", "a") == filled(NEXT_TEMPLATE, "q", "a")
    assert step_prompt("Shorten: {previous}", 1, "q", "a") == "Shorten: a"


def test_an_answer_that_stands_last_is_handed_on() -> None:
    question, answer = Said("user", "q"), Said("assistant", "a")
    earlier = [Said("user", "1"), Said("assistant", "2")]
    assert handed_on([*earlier, question, answer]) == ([*earlier, Said("user", filled(NEXT_TEMPLATE, "q", "a"))], True)
    assert handed_on([answer]) == ([Said("user", filled(NEXT_TEMPLATE, "", "a"))], True)
    assert handed_on([*earlier, question]) == ([*earlier, question], False)
    assert handed_on([]) == ([], False)


def test_a_failure_says_which_step() -> None:
    error = of_step(ClientFault("model_not_found", "No.", param="model"), 1, "m")
    assert error.message == "Step 2 (m) failed: No." and error.status == 404 and error.param == "model"
    assert error.about == {"step": 1, "model": "m"}
