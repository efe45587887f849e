package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gin-gonic/gin/render"
	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

// One row per order, in the cheapest form for the server: the JSON as opaque bytes, and no index except the primary key.
// Ids increase with time, so the same index finds the newest orders.
const schema = `CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY, version integer NOT NULL, body bytea NOT NULL)`

// The deadline of a statement, as in our host.
const storeTimeout = 5 * time.Second

// The server's error code for text that is not a UUID (invalid_text_representation).
const notAnID = "22P02"

// Orders in a table. The driver prepares each statement once per connection; after that a call is one round trip. A
// statement outside a transaction is its own transaction, and durable when the server responds.
type database struct {
	*pgxpool.Pool
}

func open(url string, connections int) (*database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(connections)
	within, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	pool, err := pgxpool.ConnectConfig(within, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(within, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("the table of orders: %w", err)
	}
	return &database{pool}, nil
}

func stored(body []byte) render.Render {
	return render.Data{ContentType: "application/json; charset=utf-8", Data: body}
}

func (d *database) put(given context.Context, o *order) (render.Render, error) {
	within, cancel := context.WithTimeout(given, storeTimeout)
	defer cancel()
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	_, err = d.Exec(within, "INSERT INTO orders (id, version, body) VALUES ($1, $2, $3)", o.ID, o.Version, body)
	return stored(body), err
}

func (d *database) get(given context.Context, id string) (found, error) {
	within, cancel := context.WithTimeout(given, storeTimeout)
	defer cancel()
	var version int
	var body []byte
	err := d.QueryRow(within, "SELECT version, body FROM orders WHERE id = $1", id).Scan(&version, &body)
	var refused *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &refused) && refused.Code == notAnID {
		err = errNotFound
	}
	return found{version, stored(body)}, err
}

func (d *database) newest(given context.Context, limit int) (any, error) {
	within, cancel := context.WithTimeout(given, storeTimeout)
	defer cancel()
	rows, err := d.Query(within, "SELECT body FROM orders ORDER BY id DESC LIMIT $1", limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]json.RawMessage, 0, limit)
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		page = append(page, body)
	}
	return page, rows.Err()
}
