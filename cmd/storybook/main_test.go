package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/dashboard/stories"
)

func TestEveryStoryHasItsAddress(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	book, err := open(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	get := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		rec := httptest.NewRecorder()
		book.ServeHTTP(rec, r)
		return rec
	}
	index := get("127.0.0.1:8090", "/").Body.String()
	for _, s := range stories.All(time.Now()) {
		address := s.Name + ".localhost:8090"
		if !strings.Contains(index, "http://"+address+strings.ReplaceAll(s.Path, "&", "&amp;")) {
			t.Errorf("the index does not lead to %s", s.Name)
		}
		if rec := get(address, s.Path); (rec.Code != http.StatusOK) != strings.HasSuffix(s.Name, "-problem") || rec.Code < 400 && rec.Code != http.StatusOK {
			t.Errorf("story %s answers %d", s.Name, rec.Code)
		}
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
