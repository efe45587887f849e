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

// One row for an order, the cheapest for the server: its JSON as bytes that are never looked into, and no index but that
// of the primary key. Ids rise with time, so that it gives the newest too.
const schema = `CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY, version integer NOT NULL, body bytea NOT NULL)`

// How long the database may take to answer, as with our host.
const storeTimeout = 5 * time.Second

// The server's word for text that is no UUID (invalid_text_representation).
const notAnID = "22P02"

// Orders in a table. The driver prepares each statement once a connection: after that a call is one round trip. A
// statement outside a transaction is a transaction by itself, and durable when it is answered.
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
