"""The failures that users of gateways reported: numbers 33 to 40, each shown by tests elsewhere, which must exist."""

from __future__ import annotations

from importlib import import_module

import pytest

SHOWN_BY: dict[str, list[str]] = {
    "test_field_failure_33_token_counts_are_exact_or_say_that_they_are_estimates": [
        "tests.core.counting.test_counting::test_exact_where_the_backend_counts",
        "tests.core.counting.test_counting::test_an_estimate_says_so",
        "tests.core.counting.test_estimate::test_never_far_below_the_truth",
    ],
    "test_field_failure_34_concurrent_requests_cannot_pass_one_budget": [
        "tests.stores.test_contract::test_300_at_once_against_one_budget",
        "tests.stores.test_contract::test_200_callers_spend_no_more_than_the_budget",
    ],
    "test_field_failure_35_failover_before_the_commit_and_never_after": [
        "tests.core.test_gateway_passthrough::test_a_fault_before_content_goes_to_the_next_candidate",
        "tests.core.test_gateway_passthrough::test_an_error_as_first_frame_goes_to_the_next_candidate",
        "tests.core.test_gateway_passthrough::test_a_reset_after_the_commit_ends_in_an_error_event",
        "tests.core.test_continuation::test_the_client_sees_one_answer",
    ],
    "test_field_failure_36_a_client_that_leaves_closes_the_backend": [
        "tests.handlers.test_asgi::test_leaving_closes_the_backend_at_once",
        "tests.doors.test_azure_host::test_a_client_that_leaves_is_told_to_the_application",
    ],
    "test_field_failure_37_waits_are_told_and_kept": [
        "tests.core.routing.test_policy::test_when_all_cool_one_probes_and_the_others_are_told_the_soonest_end",
        "tests.core.routing.test_policy::test_a_named_wait_is_kept_in_place",
        "tests.core.routing.test_health::test_a_rate_limit_cools_for_as_long_as_it_says",
    ],
    "test_field_failure_38_silence_is_pinged_from_before_the_first_byte": [
        "tests.core.test_gateway_passthrough::test_pings_from_before_the_first_byte_and_in_the_middle",
        "tests.core.test_continuation::test_pings_while_the_next_one_thinks",
    ],
    "test_field_failure_39_small_packages_that_start_fast_and_stream": [
        "tests.doors.test_aws_cold_start::test_the_door_loads_nothing_of_weight",
        "tests.doors.test_aws_package::test_the_zip_is_small_keeps_the_run_bit_and_is_the_same_each_time",
        "tests.doors.test_aws_package::test_the_package_streams_on_the_emulator",
        "tests.doors.test_azure_gateway::test_a_stream_comes_in_pieces",
    ],
    "test_field_failure_40_few_pinned_packages_flat_memory_and_no_leaked_credentials": [
        "tests.doors.test_aws_package::test_the_requirements_are_pinned_as_in_the_deployable",
        "tests.handlers.test_soak::test_ten_thousand_streams_leave_nothing_behind",
        "tests.core.test_gateway_passthrough::test_headers_that_mean_something_go_on_and_credentials_stay",
    ],
}


@pytest.mark.parametrize("failure", SHOWN_BY)
def test_each_is_shown(failure: str) -> None:
    for place in SHOWN_BY[failure]:
        module, _, name = place.partition("::")
        assert callable(getattr(import_module(module), name, None)), place
