"""The caller's place in a trace, and which traces are recorded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.telemetry.context import TraceContext, caller_of, read_traceparent, read_xray, traceparent
from core.telemetry.sampling import read_sampler

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
XRAY_TRACE = "5759e988bd862e3fe1be46a994272793"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f" 00-{TRACE}-{SPAN}-03 ", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_traceparent(header: str, sampled: bool) -> None:
    assert read_traceparent({"traceparent": header, "tracestate": "a=1,b=2"}) == TraceContext(
        TRACE, SPAN, sampled, "a=1,b=2"
    )


@pytest.mark.parametrize(
    "header",
    [
        "", "x", f"00-{TRACE}-{SPAN}", f"00-{TRACE.upper()}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-0x",
    ],
)  # fmt: skip
def test_what_is_no_traceparent(header: str) -> None:
    assert read_traceparent({"traceparent": header}) is None


def test_a_state_that_is_too_long_is_left_out() -> None:
    found = read_traceparent({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a" * 9000})
    assert found is not None and found.state == ""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (XRAY, TraceContext(XRAY_TRACE, "53995c3f42cd8ad8", True)),
        (XRAY.replace("Sampled=1", "Sampled=0;Lineage=1:a"), TraceContext(XRAY_TRACE, "53995c3f42cd8ad8", None)),
        ("Self=1-2-3; Root=1-5759e988-bd862e3fe1be46a994272793", TraceContext(XRAY_TRACE, "", None)),
        (XRAY.replace("53995c3f42cd8ad8", "0" * 16), TraceContext(XRAY_TRACE, "", True)),
        ("Root=1-00000000-" + "0" * 24, None),
        ("Root=5759e988", None),
        ("", None),
    ],
)
def test_xray(header: str, expected: TraceContext | None) -> None:
    assert read_xray(header) == expected


def test_w3c_goes_before_the_platform_and_that_before_a_header() -> None:
    w3c, other = {"traceparent": f"00-{TRACE}-{SPAN}-01"}, XRAY.replace("5759e988", "5759e999")
    found = [
        caller_of({**w3c, "x-amzn-trace-id": XRAY}, XRAY),
        caller_of({"x-amzn-trace-id": other}, XRAY),
        caller_of({"x-amzn-trace-id": other}, ""),
        caller_of({}, "nothing of the kind"),
    ]
    traces = [context.trace_id if context else None for context in found]
    assert traces == [TRACE, XRAY_TRACE, XRAY_TRACE.replace("5759e988", "5759e999"), None]
    assert traceparent(TRACE, SPAN, True) == w3c["traceparent"] and traceparent(TRACE, SPAN, False)[-1] == "0"


@given(st.text(max_size=80), st.text(max_size=80))
def test_odd_headers_are_never_an_exception(one: str, other: str) -> None:
    caller_of({"traceparent": one, "tracestate": other, "x-amzn-trace-id": other}, one)


@pytest.mark.parametrize(
    ("name", "argument", "caller_sampled", "decided"),
    [
        ("", "", None, True), ("", "", False, False), ("always_on", "", False, True),
        ("always_off", "", True, False), ("parentbased_always_off", "", None, False),
        ("parentbased_always_off", "", True, True), ("traceidratio", "0", None, False),
        ("traceidratio", "", None, True), ("parentbased_traceidratio", "0.5", None, False),
        ("TraceIdRatio ", "0.7", None, True),
    ],
)  # fmt: skip
def test_samplers(name: str, argument: str, caller_sampled: bool | None, decided: bool) -> None:
    caller = None if caller_sampled is None else TraceContext(TRACE, SPAN, caller_sampled)
    assert read_sampler(name, argument)(TRACE, caller) is decided  # its last 8 bytes are 0.64 of the largest
    undecided = TraceContext(TRACE, "", None)
    assert read_sampler("parentbased_always_off", "")(TRACE, undecided) is False


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [("sometimes", "", "OTEL_TRACES_SAMPLER: "), ("traceidratio", "2", "OTEL_TRACES_SAMPLER_ARG: "),
     ("traceidratio", "half", "number from 0 to 1")],
)  # fmt: skip
def test_settings_that_make_no_sense(name: str, argument: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_sampler(name, argument)
