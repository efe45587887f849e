-- Views of the orders for analysts, over the table that holds the service's state in PostgreSQL:
--
--     psql "$DATABASE_URL" -f docs/sql/orders-view.sql
--     GRANT SELECT ON orders, orders_unreadable TO analyst;
--
-- The views belong to the orders component, not to the host: they read the keys `o/{id}` and the JSON under them
-- (guest/src/repo/keys.rs, guest/src/repo/records.rs). A role that may read the views needs no access to the
-- table, and the views are read-only. They can be created before the service has written anything, and replaced at any time.
--
-- A record may have been written by any version of the component, or by something else. One that is not an order costs no query
-- its result: it is missing from `orders`, and `orders_unreadable` lists it. A member that has not the type of its column is NULL
-- there, and still in `document`.

BEGIN;

-- The record of an order, or NULL if it is not one: it is no JSON object, or its id is not that of its key, or it has no status
-- or no version. PostgreSQL's jsonb cannot hold U+0000, which texts could contain: U+FFFD, the replacement character, stands for
-- it.
CREATE OR REPLACE FUNCTION orders_document(key bytea, value bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    document jsonb;
BEGIN
    BEGIN
        document := convert_from(value, 'UTF8')::jsonb;
    EXCEPTION WHEN others THEN
        BEGIN
            -- An even number of backslashes before it is not part of the escape sequence.
            document := regexp_replace(convert_from(value, 'UTF8'), '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb;
        EXCEPTION WHEN others THEN
            RETURN NULL;
        END;
    END;
    IF jsonb_typeof(document) = 'object'
        AND document ->> 'id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        AND convert_to(document ->> 'id', 'UTF8') = substr(key, 3)
        AND jsonb_typeof(document -> 'status') = 'string'
        AND jsonb_typeof(document -> 'version') = 'number' AND document ->> 'version' ~ '^[1-9][0-9]{0,17}$'
    THEN
        -- The number of the record's layout is not part of the order.
        RETURN document - 'layout';
    END IF;
    RETURN NULL;
END
$$;

-- A member that is a text; otherwise NULL.
CREATE OR REPLACE FUNCTION orders_text(document jsonb, member text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(document -> member) WHEN 'string' THEN document ->> member END
$$;

-- A member that is a time; otherwise NULL. The offset in the text makes the result independent of the time zone of the session.
CREATE OR REPLACE FUNCTION orders_time(document jsonb, member text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF document ->> member ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$' THEN
        RETURN (document ->> member)::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN others THEN
    RETURN NULL;
END
$$;

-- The subquery makes the view read-only: PostgreSQL would pass writes to a view over the table itself on to the table.
CREATE OR REPLACE VIEW orders AS
SELECT
    (document ->> 'id')::uuid AS id,
    document ->> 'status' AS status,
    (document ->> 'version')::bigint AS version,
    orders_text(document, 'customer') AS customer,
    orders_text(document, 'currency') AS currency,
    -- In minor units: 450 is 4.50 €.
    CASE WHEN jsonb_typeof(document -> 'total') = 'number' AND document ->> 'total' ~ '^[0-9]{1,18}$'
        THEN (document ->> 'total')::bigint
    END AS total,
    CASE jsonb_typeof(document -> 'items') WHEN 'array' THEN jsonb_array_length(document -> 'items') END AS items,
    orders_text(document, 'notes') AS notes,
    orders_time(document, 'created_at') AS created_at,
    orders_time(document, 'updated_at') AS updated_at,
    document,
    -- Present once an order has been shipped or cancelled with it. New columns follow here, so that the view can be replaced.
    orders_text(document, 'tracking') AS tracking,
    orders_text(document, 'reason') AS reason
FROM (
    SELECT orders_document(key, value) AS document
    FROM orders_state.entries
    -- From `o/` to `o0`, because `0` follows `/` in ASCII.
    WHERE key >= 'o/'::bytea AND key < 'o0'::bytea
    OFFSET 0
) AS stored
WHERE document IS NOT NULL;

COMMENT ON VIEW orders IS 'The orders, read-only: one row per order, with its JSON in the column document.';

CREATE OR REPLACE VIEW orders_unreadable AS
SELECT encode(key, 'escape') AS key, size
FROM (
    SELECT key, octet_length(value) AS size, orders_document(key, value) AS document
    FROM orders_state.entries
    WHERE key >= 'o/'::bytea AND key < 'o0'::bytea
    OFFSET 0
) AS stored
WHERE document IS NULL;

COMMENT ON VIEW orders_unreadable IS 'Records that should be orders and are not, read-only: the key, and the size in bytes.';

COMMIT;
