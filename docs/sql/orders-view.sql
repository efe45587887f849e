-- A view of the orders for analysts, over the table that holds the service's state in PostgreSQL:
--
--     psql "$DATABASE_URL" -f docs/sql/orders-view.sql
--     GRANT SELECT ON orders TO analyst;
--
-- The view belongs to the orders component, not to the host: it reads the keys `o/{id}` and the JSON under them
-- (guest/src/repo/keys.rs, guest/src/repo/records.rs). A role that may read the view needs no access to the
-- table, and the view is read-only. It can be created before the service has written anything, and replaced at any time.

BEGIN;

-- The subquery makes the view read-only: PostgreSQL would pass writes to a view over the table itself on to the table.
CREATE OR REPLACE VIEW orders AS
SELECT
    (document ->> 'id')::uuid AS id,
    document ->> 'status' AS status,
    (document ->> 'version')::bigint AS version,
    document ->> 'customer' AS customer,
    document ->> 'currency' AS currency,
    -- In minor units: 450 is 4.50 €.
    (document ->> 'total')::bigint AS total,
    jsonb_array_length(document -> 'items') AS items,
    document ->> 'notes' AS notes,
    (document ->> 'created_at')::timestamptz AS created_at,
    (document ->> 'updated_at')::timestamptz AS updated_at,
    document
FROM (
    SELECT convert_from(value, 'UTF8')::jsonb AS document
    FROM orders_state.entries
    -- From `o/` to `o0`, because `0` follows `/` in ASCII.
    WHERE key >= 'o/'::bytea AND key < 'o0'::bytea
    OFFSET 0
) AS stored;

COMMENT ON VIEW orders IS 'The orders, read-only: one row per order, with its JSON in the column document.';

COMMIT;
