// Command storybook serves the dashboard in every state that it can be in, from fixtures:
// one address for each, such as http://holding.localhost:8090/. It needs no
// database, no bus and no GitHub. Buttons answer as they would, and do nothing.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "storybook:", err)
		os.Exit(1)
	}
}

// serve runs one dashboard per story until ctx ends.
func serve(ctx context.Context, listen string) error {
	g, ctx := errgroup.WithContext(ctx)
	handler, err := open(ctx, g)
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: listen, ReadHeaderTimeout: 10 * time.Second, Handler: handler}
	g.Go(func() error {
		fmt.Printf("Storybook: http://%s/\n", listen)
		if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return srv.Shutdown(bounded)
	})
	return g.Wait()
}

// open tells every story as of now; their dashboards run in g until ctx ends.
func open(ctx context.Context, g *errgroup.Group) (http.Handler, error) {
	told := stories.All(time.Now())
	books := map[string]http.Handler{}
	for _, s := range told {
		d, err := dashboard.New(dashboard.Config{
			Views: shelf{s}, Actions: nothing{}, Sessions: reader{s}, People: reader{s}, Explainer: shelf{s}, Policies: shelf{s}, Activity: shelf{s}, Receivers: shelf{s}, Now: time.Now,
			Newcomers: shelf{s},
			Updates:   shelf{s},
			Hosts:     hosts{shelf: shelf{s}},
			Locks:     shelf{s},
			Orders:    shelf{s},
			Build:     "storybook", PublicURL: "http://localhost/", Log: zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr}),
			Rollouts: rolloutShelf{s},
		})
		if err != nil {
			return nil, err
		}
		g.Go(func() error { return d.Run(ctx) })
		books[s.Name] = tell(s, d)
	}
	return byName(told, books), nil
}

// tell is one story: its reader is signed in already, and its stream may be broken.
func tell(s stories.Story, d http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Broken && strings.HasPrefix(r.URL.Path, "/events/") {
			http.Error(w, "this story's stream is broken", http.StatusServiceUnavailable)
			return
		}
		r.AddCookie(&http.Cookie{Name: "__Host-nixfleet", Value: "reader"})
		r.AddCookie(&http.Cookie{Name: "__Host-nixfleet-visit", Value: "secret"})
		d.ServeHTTP(w, r)
	})
}

// byName picks the story by the first label of the host name, and lists all of
// them elsewhere.
func byName(told []stories.Story, books map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(r.Host, ".")
		if book, ok := books[name]; ok {
			book.ServeHTTP(w, r)
			return
		}
		_, port, _ := net.SplitHostPort(r.Host)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = index.Execute(w, map[string]any{"Stories": told, "Port": cmp.Or(port, "80")})
	})
}

var index = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>NixFleet storybook</title>
<h1>NixFleet storybook</h1>
<dl>{{range .Stories}}
<dt><a href="http://{{.Name}}.localhost:{{$.Port}}{{.Path}}">{{.Name}}</a></dt><dd>{{.About}}</dd>{{end}}
</dl></html>
`))

// shelf is a read model that never changes.
type shelf struct{ story stories.Story }

func (s shelf) Overview(context.Context) (fleet.Overview, error) { return s.story.Overview, nil }

func (s shelf) Explain(context.Context, string, int, fleet.WhatIf) (fleet.Explanation, error) {
	if s.story.Explanation == nil {
		return fleet.Explanation{}, dashboard.ErrUnknown
	}
	return *s.story.Explanation, nil
}

func (s shelf) Repos(context.Context) ([]fleet.Repo, error) {
	var list []fleet.Repo
	for _, r := range s.story.Overview.Repos {
		list = append(list, r.Repo)
	}
	return list, nil
}

func (s shelf) Policy(context.Context, string) (fleet.PolicyView, error) {
	if s.story.Policy == nil {
		return fleet.PolicyView{}, dashboard.ErrUnknown
	}
	return *s.story.Policy, nil
}

func (s shelf) SavePolicy(context.Context, fleet.Actor, string, string, time.Time) error {
	return dashboard.Faults{{Line: 3, Column: 9, Field: "updates.auto_merge.hold", Text: "found \"1 hour\", expected a duration such as 1h, 30m or 2d"}}
}

func (s shelf) Acts(_ context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	return s.story.Acts[:min(len(s.story.Acts), q.Limit)], nil
}

func (s shelf) Enrol(context.Context, fleet.Actor, fleet.Newcomer, bool) (string, time.Time, error) {
	return "nft_7q2zk5j4mv3x9w8r6t1y0u", time.Now().Add(time.Hour), nil
}

func (s shelf) Newcomer(_ context.Context, name string) (fleet.Newcomer, error) {
	if s.story.Newcomer != nil {
		return *s.story.Newcomer, nil
	}
	return fleet.Newcomer{Host: fleet.Host{Name: name, Attr: "nixosConfigurations." + name, Mode: "fleet"}, Repo: "aurora/nixcfg", Expires: time.Now().Add(time.Hour)}, nil
}

func (s shelf) Receivers(context.Context) ([]fleet.Receiver, error) { return s.story.Receivers, nil }

func (s shelf) Notices(context.Context) ([]fleet.NoticeShown, error) { return s.story.Notices, nil }

func (s shelf) SaveReceiver(context.Context, fleet.Actor, fleet.ReceiverWish) error {
	return fleet.ReceiverFaults{{Field: "address", Text: "it is no address; one looks like slack://hook:TOKEN@webhook or ntfy://ntfy.sh/TOPIC"}}
}

func (s shelf) RemoveReceiver(context.Context, fleet.Actor, string) error { return nil }

func (s shelf) TestReceiver(context.Context, fleet.Actor, string) error { return nil }

func (s shelf) ReadSettings(settings string) (fleet.Policy, error) {
	if settings == "" {
		return fleet.DefaultPolicy(), nil
	}
	p, err := policyfile.Parse([]byte(settings), "settings")
	wrong, ok := errors.AsType[*policyfile.Error](err)
	if !ok {
		return p, err
	}
	var faults dashboard.Faults
	for _, x := range wrong.Problems {
		faults = append(faults, dashboard.Fault{Line: x.Line, Column: x.Column, Field: x.Field, Text: x.Found + ", expected " + x.Allowed})
	}
	return p, faults
}

func (s shelf) WriteSettings(p fleet.Policy) (string, error) {
	text, err := policyfile.Write(p)
	return string(text), err
}

// nothing takes wishes and forgets them.
type nothing struct{}

func (nothing) Merge(context.Context, fleet.Actor, dashboard.Seen, bool) error { return nil }

func (nothing) Hold(context.Context, fleet.Actor, dashboard.Seen, time.Time) error { return nil }

func (nothing) Release(context.Context, fleet.Actor, dashboard.Seen) error { return nil }
