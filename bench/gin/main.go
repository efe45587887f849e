// The conventional alternative: create, get and list of orders with Gin, and a map in memory or a table in PostgreSQL.
//
// It implements the part of the contract that the benchmark uses: the same fields with the same rules, UUIDs of version 7,
// the newest order first. It has no idempotency keys, no conditional requests and no pages after the first.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
	"github.com/gin-gonic/gin/render"
	"github.com/go-playground/validator/v10"
)

const (
	maxBody      = 1 << 20
	defaultLimit = 20
	maxLimit     = 100
	path         = "/api/v1/orders"
)

type item struct {
	SKU       string `json:"sku" binding:"required,sku"`
	Name      string `json:"name,omitempty" binding:"omitempty,max=200"`
	Quantity  int64  `json:"quantity" binding:"required,min=1,max=10000"`
	UnitPrice *int64 `json:"unit_price" binding:"required,min=0,max=1000000000000"`
}

type newOrder struct {
	Customer string            `json:"customer" binding:"required,max=200,visible"`
	Currency string            `json:"currency" binding:"required,currency"`
	Items    []item            `json:"items" binding:"required,min=1,max=100,dive"`
	Notes    string            `json:"notes,omitempty" binding:"omitempty,max=2000"`
	Metadata map[string]string `json:"metadata,omitempty" binding:"omitempty,max=50,dive,keys,min=1,max=40,endkeys,max=500"`
}

type order struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Version int    `json:"version"`
	newOrder
	Total     int64  `json:"total"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Stores orders. The Render that it returns for an order is the response body.
type store interface {
	put(context.Context, *order) (render.Render, error)
	get(context.Context, string) (found, error)
	newest(context.Context, int) (any, error)
}

// A stored order.
type found struct {
	version int
	body    render.Render
}

var errNotFound = errors.New("no order has this id")

type service struct {
	orders store
}

// A UUID of version 7 (RFC 9562, section 5.7).
func newID(now time.Time) (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[6:]); err != nil {
		return "", err
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:], id[:4])
	hex.Encode(text[9:], id[4:6])
	hex.Encode(text[14:], id[6:8])
	hex.Encode(text[19:], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:]), nil
}

func fail(c *gin.Context, status int, detail string) {
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(status, problem{"about:blank", http.StatusText(status), status, detail})
}

func (s service) create(c *gin.Context) {
	if c.ContentType() != "application/json" {
		fail(c, http.StatusUnsupportedMediaType, "The body must be application/json.")
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	var o order
	if err := c.ShouldBindJSON(&o.newOrder); err != nil {
		var faults validator.ValidationErrors
		status := http.StatusBadRequest
		if errors.As(err, &faults) {
			status = http.StatusUnprocessableEntity
		}
		fail(c, status, err.Error())
		return
	}
	now := time.Now().UTC()
	id, err := newID(now)
	if err != nil {
		fail(c, http.StatusInternalServerError, "No random numbers are available.")
		return
	}
	o.ID, o.Status, o.Version = id, "pending", 1
	o.CreatedAt = now.Format("2006-01-02T15:04:05.000Z")
	o.UpdatedAt = o.CreatedAt
	for _, item := range o.Items {
		o.Total += item.Quantity * *item.UnitPrice
	}
	body, err := s.orders.put(c.Request.Context(), &o)
	if err != nil {
		unavailable(c)
		return
	}
	c.Header("Location", path+"/"+o.ID)
	respond(c, http.StatusCreated, found{o.Version, body})
}

func (s service) read(c *gin.Context) {
	o, err := s.orders.get(c.Request.Context(), c.Param("id"))
	if errors.Is(err, errNotFound) {
		fail(c, http.StatusNotFound, "No order has this id.")
		return
	}
	if err != nil {
		unavailable(c)
		return
	}
	respond(c, http.StatusOK, o)
}

func unavailable(c *gin.Context) {
	c.Header("Retry-After", "1")
	fail(c, http.StatusServiceUnavailable, "The store is unavailable.")
}

func respond(c *gin.Context, status int, o found) {
	c.Header("ETag", `"`+strconv.Itoa(o.version)+`"`)
	c.Header("Cache-Control", "private, no-cache")
	c.Render(status, o.body)
}

func (s service) list(c *gin.Context) {
	limit := defaultLimit
	if given, ok := c.GetQuery("limit"); ok {
		var err error
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > maxLimit {
			fail(c, http.StatusBadRequest, "limit is a number from 1 to 100.")
			return
		}
	}
	items, err := s.orders.newest(c.Request.Context(), limit)
	if err != nil {
		unavailable(c)
		return
	}
	c.Header("Cache-Control", "private, no-cache")
	c.JSON(http.StatusOK, gin.H{"items": items})
}

// Sets the header fields of every response.
func setHeaders(c *gin.Context) {
	id := c.GetHeader("X-Request-Id")
	if id == "" || len(id) > 128 {
		id, _ = newID(time.Now())
	}
	c.Header("X-Request-Id", id)
	c.Header("X-Content-Type-Options", "nosniff")
}

func rules() error {
	rules, ok := binding.Validator.Engine().(*validator.Validate)
	if !ok {
		return errors.New("Gin has an unexpected validator")
	}
	sku := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	if err := rules.RegisterValidation("sku", func(field validator.FieldLevel) bool {
		return sku.MatchString(field.Field().String())
	}); err != nil {
		return err
	}
	if err := rules.RegisterValidation("currency", func(field validator.FieldLevel) bool {
		return currencies[field.Field().String()]
	}); err != nil {
		return err
	}
	return rules.RegisterValidation("visible", func(field validator.FieldLevel) bool {
		return strings.TrimSpace(field.Field().String()) != ""
	})
}

func serve(address, url string, connections int) error {
	if err := rules(); err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	binding.EnableDecoderDisallowUnknownFields = true
	orders := service{&memory{orders: make(map[string]*order)}}
	if url != "" {
		database, err := open(url, connections)
		if err != nil {
			return err
		}
		defer database.Close()
		orders.orders = database
	}
	router := gin.New()
	router.Use(gin.Recovery(), setHeaders)
	router.POST(path, orders.create)
	router.GET(path, orders.list)
	router.GET(path+"/:id", orders.read)

	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: router, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	signalled, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	drained := make(chan error, 1)
	go func() {
		<-signalled.Done()
		deadline, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		drained <- server.Shutdown(deadline)
	}()
	fmt.Printf("listening on %s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "the address and port to serve on; port 0 picks a free one")
	url := flag.String("store", "", "a PostgreSQL database, postgres://…; without it orders are in memory")
	connections := flag.Int("store-connections", 8, "the maximum number of connections to the database")
	flag.Parse()
	if err := serve(*address, *url, *connections); err != nil {
		fmt.Fprintln(os.Stderr, "orders-bench-gin:", err)
		os.Exit(1)
	}
}
