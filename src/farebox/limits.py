"""Every limit, in one file, each with its unit in its name.

A limit that an operator may want to change is a setting with the same name in `[limits]`, and starts from here.
"""

KIB = 1024
MIB = 1024 * KIB

# --- a request -----------------------------------------------------------------------------------------------------------------
request_body_bytes_max = 32 * MIB
request_body_s_max = 60
request_head_s_max = 15
request_json_depth_max = 128
request_json_values_max = 500_000
request_headers_max = 100
requests_waiting_max = 16
"""So many requests that a client sent ahead of its answers, on one connection, and no more is read of it until fewer wait."""
key_length_max = 256
idempotency_key_bytes_max = 255
tag_pairs_max = 16
tag_bytes_max = 128
user_bytes_max = 256
run_id_bytes_max = 128
choices_max = 128
request_media_max = 1500
"""Pictures, documents and recordings in one request."""
tool_calls_default = 4
"""How often a call may use the provider's own tools, where the caller does not say."""
tool_calls_max = 128
search_tokens_max = 32_768
"""What one search of a provider's own tool adds to the prompt at most (providers.md §5.4)."""
grounding_queries_max = 8
"""How many queries are held for where grounding is charged by the query: the API has no cap for them. More are charged as reported."""
request_head_bytes_max = 64 * KIB

# --- an answer -----------------------------------------------------------------------------------------------------------------
answer_body_bytes_max = 32 * MIB
upstream_request_id_bytes_max = 128
model_name_chars_max = 256
object_id_chars_max = 256
error_body_bytes_max = 1 * MIB
stream_event_bytes_max = 8 * MIB
replay_answer_bytes_max = 1 * MIB
replay_kept_s = 24 * 3600
client_stall_s_max = 120

# --- upstream ------------------------------------------------------------------------------------------------------------------
connect_s_max = 10
first_byte_s_max = 600
stream_idle_s_max = 300
request_s_max = 3600
upstream_head_bytes_max = 64 * KIB
upstream_buffer_bytes_max = 256 * KIB
upstream_connections_max = 2000
upstream_idle_s_max = 55
attempts_max = 2
upstream_headers_max = 200
upstream_connections_per_origin_max = 1000
connect_failures_max = 4
"""So many in a row, and calls are not let wait for the next one."""
upstream_errors_max = 20
upstream_pause_ms_min = 500
upstream_pause_ms_max = 30_000
upstream_try_s_max = 10
"""How long the one call after a pause may be the only one."""
more_keys_max = 15
"""Keys of a provider beside the first."""
provider_key_pause_ms_min = 5_000
provider_key_pause_ms_max = 60_000
purposes_passed_over_max = 256

# --- a call in flight ------------------------------------------------------------------------------------------------------------
calls_in_flight_max = 4000
count_tokens_s_max = 60
drain_s_max = 600
drains_max = 500
drains_per_key_max = 64
held_wait_s = 5
idempotency_wait_s = 30
requotes_max = 8
shutdown_s_max = 30
settle_s_max = 10

# --- output --------------------------------------------------------------------------------------------------------------------
default_max_output_tokens = 8192
min_output_tokens = 256
context_tokens_unknown_max = 2_000_000
extra_tokens_max = 20_000_000
"""What a setting may admit one thing to add to a call (`providers.NAME.bounds`)."""
extra_fee_nano_max = 100_000_000_000

# --- ledger --------------------------------------------------------------------------------------------------------------------
queue_commands_max = 20_000
batch_commands_max = 512
sweep_every_s = 5
heartbeat_lost_s = 30
account_depth_max = 8
absurd_usage_factor = 10
event_days_late_max = 35
event_s_ahead_max = 300
journal_bytes_max = 8 * MIB
journal_answer_bytes_max = 16 * KIB
outage_retry_ms_max = 1000

# --- objects that providers keep, and answers that come later --------------------------------------------------------------------
response_kept_s = 31 * 24 * 3600
object_kept_s = 400 * 24 * 3600
response_items_max = 256
"""Output items of one response that are remembered. What it has beyond them is nobody's: it cannot be referred to."""
request_items_max = 1000
"""Items kept by the provider that one request may refer to."""
request_objects_max = request_items_max + request_media_max
"""Objects of every kind that one request may name: each is looked up."""
counts_at_once_max = 8
"""Requests whose input is being counted before they are refused."""
count_s_max = 5
background_s_max = 24 * 3600
background_lease_s = 90
background_poll_s_max = 60
background_poll_pause_ms_min = 2_000
background_poll_pause_ms_max = 60_000
background_polls_at_once_max = 16

# --- pages -----------------------------------------------------------------------------------------------------------------------
page_rows_max = 1000
page_rows_default = 100

# --- control plane ---------------------------------------------------------------------------------------------------------------
control_body_bytes_max = 8 * MIB
report_s_max = 20
usage_days_max = 400
usage_groups_max = 4
budgets_per_scope_max = 32
price_changes_shown_max = 500
admin_key_chars_min = 16

# --- processes -------------------------------------------------------------------------------------------------------------------
workers_max = 256
worker_start_s_max = 60
worker_pause_s_max = 5
worker_steady_s = 60
figures_every_s = 1

# --- work that is not proxied ----------------------------------------------------------------------------------------------------
hold_lifetime_s_default = 900
hold_lifetime_s_min = 1
hold_lifetime_s_max = 7 * 24 * 3600
events_per_request_max = 1000
unproxied_usd_max = 1_000_000
event_source_bytes_max = 255
meter_name_chars_max = 100
payers_remembered_max = 20_000
holds_remembered_max = 20_000
caller_remembered_s_max = 1
unproxied_body_bytes_max = 2 * MIB
