package main

import (
	"context"
	"sync"

	"github.com/gin-gonic/gin/render"
)

// Orders by id, and the ids from the oldest to the newest.
type memory struct {
	sync.RWMutex
	orders map[string]*order
	ids    []string
}

func (m *memory) put(_ context.Context, o *order) (render.Render, error) {
	m.Lock()
	defer m.Unlock()
	m.orders[o.ID] = o
	m.ids = append(m.ids, o.ID)
	return render.JSON{Data: o}, nil
}

func (m *memory) get(_ context.Context, id string) (found, error) {
	m.RLock()
	defer m.RUnlock()
	o := m.orders[id]
	if o == nil {
		return found{}, errNotFound
	}
	return found{o.Version, render.JSON{Data: o}}, nil
}

func (m *memory) newest(_ context.Context, limit int) (any, error) {
	m.RLock()
	defer m.RUnlock()
	if limit > len(m.ids) {
		limit = len(m.ids)
	}
	page := make([]*order, 0, limit)
	for i := len(m.ids) - 1; len(page) < limit; i-- {
		page = append(page, m.orders[m.ids[i]])
	}
	return page, nil
}
