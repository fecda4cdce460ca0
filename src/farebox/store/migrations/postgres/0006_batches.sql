-- What opens a batch, in one answer instead of three: it locks, in the order that every writer keeps (wallets, counters of rolling windows,
-- windows), and then reads. Each statement of a function sees what was committed before it began, as statements by themselves do: what is
-- read is what stands once the locks are had.
--
-- Asked for: the wallets, the holds that are settled, the windows that are foreseen, and the keys and accounts whose revisions are looked at.
-- Locked are also the wallets and the windows of these holds. Rows come as JSON arrays, in the order of the objects' fields; nothing, where
-- there are none. A plan is made once, because one for each batch would cost more than the batch; while tables are small, so that it is told
-- to find row by row through an index.

CREATE OR REPLACE FUNCTION open_batch(wallet_ids text[], hold_ids text[], window_counters text[], window_starts bigint[], scope_ids text[],
                                      OUT locked_wallets text, OUT locked_windows text, OUT moment bigint, OUT newest_book bigint,
                                      OUT found_holds text, OUT found_charges text, OUT found_revisions text, OUT found_grants text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
  SET enable_mergejoin = off AS $$
BEGIN
  SELECT json_agg(json_build_array(a.id)) INTO locked_wallets FROM (
    SELECT id FROM accounts WHERE id = ANY (wallet_ids || ARRAY(SELECT wallet FROM holds WHERE id = ANY (hold_ids)))
    ORDER BY id FOR NO KEY UPDATE) AS a;

  WITH asked (counter, start) AS MATERIALIZED (
    SELECT u.counter COLLATE "C", u.start FROM unnest(window_counters, window_starts) AS u (counter, start)
    UNION
    SELECT ref ->> 0, (ref ->> 1)::bigint FROM holds AS h CROSS JOIN LATERAL jsonb_array_elements(h.windows::jsonb) AS ref WHERE h.id = ANY (hold_ids)),
  whole AS MATERIALIZED (
    SELECT id FROM counters WHERE id = ANY (ARRAY(SELECT counter FROM asked WHERE position('/rolling:' IN counter) > 0))
    ORDER BY id FOR NO KEY UPDATE)
  SELECT json_agg(json_build_array(w.counter, w.start, w.price_held, w.cost_held, w.tokens_held, w.requests_held,
                                   w.price_spent, w.cost_spent, w.tokens_spent, w.requests_spent)) INTO locked_windows FROM (
    SELECT w.* FROM (SELECT * FROM asked WHERE (SELECT count(*) FROM whole) >= 0 ORDER BY counter, start) AS asked  -- which are locked first
    CROSS JOIN LATERAL (SELECT * FROM windows WHERE counter = asked.counter AND start = asked.start FOR NO KEY UPDATE) AS w) AS w;

  WITH found AS MATERIALIZED (SELECT * FROM holds WHERE id = ANY (hold_ids))
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (SELECT coalesce(max(version), 0) FROM books),
    (SELECT json_agg(json_build_array(id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs,
                                      windows, book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at,
                                      deadline, run, "user", tags, idempotency, state, closed_at)) FROM found),
    (SELECT json_agg(json_build_array(hold_id, request_id, key, account, root, wallet, at, outcome, completeness, price, paid, written_off, cost,
                                      list_cost, tokens, legs, provider, model, model_served, route, usage, lines, timings, flags, status,
                                      upstream_request_id, refunded, revised))
     FROM charges WHERE hold_id = ANY (ARRAY(SELECT id FROM found WHERE state <> 'open'))),
    (SELECT json_agg(json_build_array(id, rev)) FROM (
       SELECT id, rev FROM keys WHERE id = ANY (scope_ids) UNION ALL SELECT id, rev FROM accounts WHERE id = ANY (scope_ids)) AS revised),
    (SELECT json_agg(json_build_array(id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired)
                     ORDER BY wallet, id)
     FROM grants WHERE wallet = ANY (wallet_ids) AND (amount - spent - expired > 0))
  INTO moment, newest_book, found_holds, found_charges, found_revisions, found_grants;
END $$;
