package dashboard

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// meter counts what a server writes to its connections.
type meter struct {
	net.Listener
	sent atomic.Int64
}

func (m *meter) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	return metered{c, m}, err
}

type metered struct {
	net.Conn
	m *meter
}

func (c metered) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.m.sent.Add(int64(n))
	return n, err
}

// BenchmarkFiftyViewersOfAThousandHosts tells fifty open pages of twelve or thirteen
// changed hosts a round, which is 50 changes a second. It reports what goes over the
// wire as a multiple of the changes themselves: the changed hosts as JSON, once for each
// viewer; and how long a round takes, from the change until the last page has it.
func BenchmarkFiftyViewersOfAThousandHosts(b *testing.B) {
	const hosts, viewers, changes = 1000, 50, 50 / 4
	w := newWorld(stories.Crowd(noon, hosts))
	d := newDashboard(b, w, Config{Batch: time.Millisecond, Beat: time.Hour})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _ = d.Run(ctx) }()

	server := httptest.NewUnstartedServer(d)
	m := &meter{Listener: server.Listener}
	server.Listener = m
	server.Start()
	defer server.Close()
	defer stop() // the streams end first

	var got sync.WaitGroup // the patches of one round
	got.Add(viewers)
	for range viewers {
		go view(b, server.URL, &got)
	}
	got.Wait()
	m.sent.Store(0)

	bytesOfChanges, round := 0, 0
	for b.Loop() {
		got.Add(viewers)
		round++
		w.change(func() {
			w.overview.Hosts = slices.Clone(w.overview.Hosts)
			for i := range changes {
				h := &w.overview.Hosts[(round*changes+i*79)%hosts]
				h.Progress = &fleet.HostProgress{Host: h.Host.Name, State: fleet.HostBuilding, Since: noon.Add(time.Duration(round) * time.Second)}
				data, err := json.Marshal(h)
				if err != nil {
					b.Fatal(err)
				}
				bytesOfChanges += len(data)
			}
		})
		got.Wait()
	}
	b.ReportMetric(float64(m.sent.Load())/viewers/float64(bytesOfChanges), "wire/change")
	b.ReportMetric(float64(m.sent.Load())/viewers/float64(round*changes), "B/host")
}

// view is one open page: it marks each patch that it has received whole.
func view(b *testing.B, server string, got *sync.WaitGroup) {
	r, err := http.NewRequest(http.MethodGet, server+"/events/", nil)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Accept-Encoding", "gzip") // as browsers do; the client then leaves it alone
	r.AddCookie(&http.Cookie{Name: "__Host-nixfleet", Value: "op"})
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	z, err := gzip.NewReader(res.Body)
	if err != nil {
		panic(err)
	}
	patch := false
	for lines := bufio.NewReader(z); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		switch {
		case bytes.HasPrefix(line, []byte("event: ")):
			patch = strings.TrimSpace(string(line[7:])) == "patch"
		case len(line) == 1 && patch:
			patch = false
			got.Done()
		}
	}
}

// BenchmarkRenderAThousandHosts is one round for three filters.
func BenchmarkRenderAThousandHosts(b *testing.B) {
	o := stories.Crowd(noon, 1000)
	d := newDashboard(b, newWorld(o), Config{})
	var last board
	for b.Loop() {
		s := d.scene(o)
		for _, query := range []string{"/", "/?sort=name", "/?group=tag"} {
			t, err := d.fleetTopic(httptest.NewRequest(http.MethodGet, query, nil))
			if err != nil {
				b.Fatal(err)
			}
			if last, err = render(context.Background(), t, s); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(last.html("hosts")))/1000, "B/row")
}
