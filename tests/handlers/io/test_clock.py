import re
import time

from handlers.io.clock import SystemClock, SystemRandom


async def test_the_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert before <= clock.monotonic() <= time.monotonic()
    assert abs(clock.time() - time.time()) < 60


def test_tokens_have_the_length_and_letters_that_were_asked_for() -> None:
    random = SystemRandom()
    for length in (0, 1, 24, 1000):
        assert re.fullmatch(f"[A-Za-z0-9]{{{length}}}", random.token(length))
    assert random.token(24) != random.token(24)
    assert len(set(random.token(10_000))) == 62


def test_uniform_numbers_lie_in_the_unit_interval() -> None:
    numbers = [SystemRandom().uniform() for _ in range(1000)]
    assert all(0 <= number < 1 for number in numbers)
    assert min(numbers) < 0.1 < 0.9 < max(numbers)


def test_tokens_fetched_ahead_are_no_less_random() -> None:
    random = SystemRandom(ahead=256)
    tokens = {random.token(20) for _ in range(200)}
    assert len(tokens) == 200
    assert all(len(token) == 20 and token.isalnum() for token in tokens)
    assert len(random.token(1000)) == 1000
