"""The forty bad inputs of the field's study: each has a test with its answer, and the tests are there."""

from __future__ import annotations

import ast
import hmac
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
HERE = "integration/ingress"
EGRESS = "integration/egress/test_egress_addresses_on_the_wire.py"
HOSTILE = "integration/egress/test_egress_hostile_answers.py"
RING = "integration/service/test_audit_ring.py"

ROWS: dict[int, tuple[str, ...]] = {
    1: (f"{HERE}/test_ingress_rows.py::test_row_1_no_signature",),
    2: (
        f"{HERE}/test_ingress_rows.py::test_row_2_another_tenant_s_signature",
        f"{HERE}/test_ingress_bad_inputs.py::test_the_right_signature_on_another_provider_s_route",
    ),
    3: (f"{HERE}/test_ingress_bad_inputs.py::test_signatures_that_are_none",),
    4: (
        f"{HERE}/test_ingress_bad_inputs.py::test_signatures_that_are_none",
        f"{HERE}/test_ingress_rows.py::test_row_4_many_signatures",
        "unit/bridge/test_bridge_any_headers.py::test_nothing_but_a_refusal_for_what_was_not_signed",
    ),
    5: (f"{HERE}/test_the_forty.py::test_row_5_only_an_algorithm_that_does_not_count",),
    6: (f"{HERE}/test_ingress_rows.py::test_row_6_the_old_secret_within_and_after_its_grace",),
    7: (
        f"{HERE}/test_ingress_rows.py::test_row_7_a_time_outside_of_the_window",
        f"{HERE}/test_ingress_rows.py::test_row_7_what_is_no_time",
        f"{HERE}/test_ingress_rows.py::test_row_7_milliseconds_and_two_times",
    ),
    8: (
        f"{HERE}/test_ingress_rows.py::test_rows_8_to_10_a_repeat_has_one_claim_whatever_is_edited",
        "integration/service/test_main_job.py::test_fifty_copies_at_once_have_one_effect_before_and_after_a_restart",
    ),
    9: (f"{HERE}/test_ingress_rows.py::test_rows_8_to_10_a_repeat_has_one_claim_whatever_is_edited",),
    10: ("integration/service/test_main_job.py::test_fifty_copies_at_once_have_one_effect_before_and_after_a_restart",),
    11: (f"{HERE}/test_ingress_rows.py::test_row_11_the_signature_twice",),
    12: (
        f"{HERE}/test_ingress_bad_bodies.py::test_a_body_of_exactly_the_default_limit",
        f"{HERE}/test_ingress_bad_bodies.py::test_one_byte_more_is_refused_before_it_is_sent",
        f"{HERE}/test_ingress_bad_bodies.py::test_one_byte_more_in_chunks_is_refused_while_it_streams",
        f"{HERE}/test_ingress_bad_bodies.py::test_a_length_that_is_too_low_proves_nothing",
        f"{HERE}/test_ingress_bad_bodies.py::test_a_length_that_is_too_high_and_then_the_end",
    ),
    13: (
        f"{HERE}/test_ingress_encodings.py::test_bombs",
        "unit/bridge/test_bridge_decompression.py::test_a_bomb_costs_what_is_allowed_not_what_it_would_become",
        "unit/bridge/test_bridge_decompression.py::test_a_bomb_of_106_bytes",
        f"{HERE}/test_ingress_rows.py::test_rows_13_to_15_compressed_by_every_kind_that_can_be",
    ),
    14: (f"{HERE}/test_ingress_encodings.py::test_honest_events_that_repeat_themselves",),
    15: (
        f"{HERE}/test_ingress_encodings.py::test_streams_that_are_cut_or_go_on",
        f"{HERE}/test_ingress_encodings.py::test_encodings_one_around_the_other",
        f"{HERE}/test_ingress_bad_inputs.py::test_encodings_that_are_not_known",
        "unit/bridge/test_bridge_decompression.py::test_a_zstd_frame_that_asks_for_too_much_memory",
    ),
    16: (
        f"{HERE}/test_ingress_rows.py::test_row_16_framing_that_two_readers_could_read_differently",
        f"{HERE}/test_ingress_bad_bodies.py::test_length_and_chunks_are_never_two_requests",
        f"{HERE}/test_ingress_bad_bodies.py::test_lengths_that_are_none",
        f"{HERE}/test_ingress_bad_bodies.py::test_two_lengths_that_differ",
    ),
    17: (f"{HERE}/test_ingress_bad_bodies.py::test_broken_chunks_are_400_with_the_envelope",),
    18: (
        f"{HERE}/test_ingress_bad_inputs.py::test_exactly_one_host",
        f"{HERE}/test_ingress_bad_inputs.py::test_bare_junk_is_refused_and_closed",
        f"{HERE}/test_ingress_rows.py::test_row_18_a_target_that_names_another_host",
    ),
    19: (
        f"{HERE}/test_ingress_bad_inputs.py::test_too_many_or_too_large_headers",
        f"{HERE}/test_ingress_bad_inputs.py::test_a_long_path",
    ),
    20: (
        f"{HERE}/test_ingress_bad_bodies.py::test_a_head_that_stops_is_closed_in_time",
        f"{HERE}/test_ingress_bad_bodies.py::test_a_body_that_stops_is_408_and_the_connection_closes",
        f"{HERE}/test_ingress_bad_bodies.py::test_a_body_that_drips_is_408_too",
        f"{HERE}/test_ingress_bad_bodies.py::test_expect_without_a_body_is_408",
    ),
    21: (
        f"{HERE}/test_ingress_bad_inputs.py::test_what_is_ignored",
        f"{HERE}/test_ingress_bad_inputs.py::test_methods_that_are_never_wanted",
    ),
    22: (f"{HERE}/test_ingress_bad_inputs.py::test_signed_but_not_strict_json",),
    23: (
        f"{HERE}/test_ingress_rows.py::test_row_23_another_media_type",
        f"{HERE}/test_ingress_bad_inputs.py::test_the_content_type_is_pinned",
    ),
    24: ("unit/bridge/test_bridge_every_provider.py::test_good_is_accepted",),
    25: (f"{HERE}/test_ingress_rows.py::test_row_25_what_a_stranger_says_of_the_way_here",),
    26: (
        f"{HERE}/test_ingress_beyond.py::test_what_names_a_foreign_place_causes_no_request",
        f"{HERE}/test_ingress_beyond.py::test_a_topic_is_confirmed_only_after_its_signature_held",
        f"{EGRESS}::test_a_certificate_nobody_vouches_for_gets_no_request",
    ),
    27: (f"{HERE}/test_ingress_beyond.py::test_discord_s_probe_and_ping",),
    28: (
        "integration/capability/test_governed_runs.py::test_a_provider_that_no_rule_lets_in_is_refused",
        "integration/capability/test_governed_runs.py::test_a_start_that_no_rule_grants_is_a_dead_letter_until_one_does",
    ),
    29: ("unit/capability/test_capability_vectors.py::test_what_a_token_allows",),
    30: (
        "integration/capability/test_governed_runs.py::test_silence_of_the_store_allows_nothing_and_fails_nothing",
        "integration/postgres/test_pg_revocation.py::test_no_node_allows_a_second_later_what_was_revoked",
    ),
    31: (
        f"{HERE}/test_ingress_rows.py::test_row_31_trouble_of_ours_is_told_with_the_time_to_wait",
        f"{HERE}/test_ingress_answers.py::test_what_the_sender_is_told_of_our_own_trouble",
        f"{HERE}/test_ingress_limits.py::test_a_handler_that_takes_too_long",
    ),
    32: (
        f"{HERE}/test_ingress_brownout.py::test_row_32_writes_are_refused_reads_go_on",
        f"{HERE}/test_ingress_brownout.py::test_row_32_who_would_not_send_again_goes_in",
        "integration/service/test_brownout.py::test_it_begins_is_told_and_ends_by_itself",
    ),
    33: (
        f"{EGRESS}::test_literals_are_caught_at_connect",
        "unit/egress/test_egress_addresses.py::test_every_class_is_refused_by_its_name",
        "unit/egress/test_egress_outgoing.py::test_a_base_url_that_could_mean_another_host_is_refused",
    ),
    34: (
        f"{EGRESS}::test_a_name_that_resolves_to_something_else_the_second_time",
        f"{EGRESS}::test_mixed_answers_lead_nowhere_private",
    ),
    35: (
        f"{EGRESS}::test_a_redirect_to_metadata_is_not_followed",
        f"{HOSTILE}::test_an_endless_body_is_cut_at_the_cap",
        f"{HOSTILE}::test_endless_headers_are_cut",
        f"{HOSTILE}::test_a_body_that_drips_ends_at_the_deadline",
    ),
    36: (
        f"{HOSTILE}::test_retry_after_closes_the_target_and_is_clamped",
        f"{HOSTILE}::test_a_retry_after_without_sense_closes_nothing",
    ),
    37: ("integration/cli/test_svc_interop.py::test_row_37_a_broken_configuration_changes_nothing_and_is_recorded",),
    38: (f"{RING}::test_row_38_a_full_ring_drops_the_oldest_counts_exactly_and_answers_all",),
    39: (
        "integration/api/test_api_graphql.py::test_what_is_too_much_is_refused",
        "integration/api/test_api_graphql.py::test_a_batch_is_bounded_and_shares_its_budget",
        "integration/api/test_api_graphql.py::test_the_schema_is_shown_only_where_that_is_allowed",
    ),
    40: (
        f"{HERE}/test_ingress_rows.py::test_row_40_a_correlation_id_that_is_none_is_replaced",
        f"{HERE}/test_ingress_answers.py::test_any_other_is_replaced_and_never_reflected",
    ),
}


@cache
def defined(path: Path) -> frozenset[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def test_there_are_forty() -> None:
    assert sorted(ROWS) == list(range(1, 41))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_its_test(row: int) -> None:
    for named in ROWS[row]:
        file, _, name = named.partition("::")
        assert (TESTS / file).is_file(), file
        assert name in defined(TESTS / file), named


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-signature", "v2,{sha256}"),
        ("webhook-signature", "v0,{sha256}"),
        ("webhook-signature", "v1a,{sha256}"),
        ("webhook-signature", "v1,{sha1}"),
    ],
)
async def test_row_5_only_an_algorithm_that_does_not_count(edge, header: str, value: str) -> None:
    import base64

    key, body = b"0123456789abcdef0123456789abcdef", b'{"type":"a"}'
    headers = edge.signed(body)
    given = dict(headers)
    signed = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
    made = {name: base64.b64encode(hmac.digest(key, signed, name)).decode() for name in ("sha256", "sha1")}
    changed = [(name, value.format(**made) if name == header else text) for name, text in headers]
    answer = await edge.ask(edge.request(changed, body))
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    assert edge.deliveries == []


async def test_row_5_github_s_older_header_alone(run_edge) -> None:
    from rco.bridge.contract import ProviderSettings, SecretRef

    forge = ProviderSettings(name="forge", kind="github", secrets=[SecretRef(secret_id="main", ref="env:PLAIN")])
    edge = await run_edge(more=[forge])
    body = b"{}"
    digest = hmac.new(b"0123456789abcdef0123456789abcdef", body, "sha1").hexdigest()
    headers = [("Host", "a"), ("Content-Type", "application/json"), ("X-GitHub-Event", "push")]
    headers.append(("X-Hub-Signature", f"sha1={digest}"))
    answer = await edge.ask(edge.request(headers, body, path="/webhooks/forge"))
    assert (answer.status, answer.reason) == (401, "UNAUTH")
