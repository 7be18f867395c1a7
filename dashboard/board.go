package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"html"
	"slices"
	"strconv"

	"github.com/a-h/templ"
)

// board is one rendering of a topic: fixed regions, each a list of parts.
type board []region

// region is an element of the page whose children are live.
type region struct {
	id    string
	parts []part
}

// part is one child of a region, compared and sent as a whole.
type part struct {
	id   string
	html []byte
}

// liveRegion is a region before it is rendered.
type liveRegion struct {
	id    string
	parts []live
}

// live is a part before it is rendered.
type live struct {
	id        string
	component templ.Component
}

// render renders everything live of a topic.
func render(ctx context.Context, t topic, s scene) (board, error) {
	regions, err := t.regions(ctx, s)
	if err != nil {
		return nil, err
	}
	b := make(board, 0, len(regions)+1)
	for _, r := range append(regions, s.around()) {
		out := region{id: r.id}
		for _, l := range r.parts {
			html, err := l.drawn(ctx)
			if err != nil {
				return nil, fmt.Errorf("render %s: %w", l.id, err)
			}
			out.parts = append(out.parts, part{id: l.id, html: html})
		}
		b = append(b, out)
	}
	return b, nil
}

// drawn renders l, unless another topic of the round has.
func (l live) drawn(ctx context.Context) ([]byte, error) {
	if shared, ok := l.component.(*drawing); ok {
		return shared.drawn(ctx)
	}
	var html bytes.Buffer
	err := l.component.Render(ctx, &html)
	return html.Bytes(), err
}

// around is what is live around every page: how many updates are pending.
func (s scene) around() liveRegion {
	pending := 0
	for _, u := range s.o.Updates {
		if u.State.Open() {
			pending++
		}
	}
	return liveRegion{"nav-updates", []live{{"nav-pending", pendingCount(pending)}}}
}

// html is the content of one region, for the first page.
func (b board) html(id string) string {
	for _, r := range b {
		if r.id == id {
			return string(r.html())
		}
	}
	return ""
}

func (r region) html() []byte {
	var buf bytes.Buffer
	for _, p := range r.parts {
		buf.Write(p.html)
	}
	return buf.Bytes()
}

// since is the patch that turns old into b: single parts where a region still has
// the same ones in the same order, whole regions where it has not.
func (b board) since(old board) []byte {
	var buf bytes.Buffer
	for i, r := range b {
		if i >= len(old) || !slices.EqualFunc(r.parts, old[i].parts, func(x, y part) bool { return x.id == y.id }) {
			swap(&buf, r.id, "innerMorph", r.html())
			continue
		}
		for j, p := range r.parts {
			if !bytes.Equal(p.html, old[i].parts[j].html) {
				swap(&buf, p.id, "outerMorph", p.html)
			}
		}
	}
	return buf.Bytes()
}

// seed makes versions of this process.
var seed = maphash.MakeSeed()

// version names what b shows. A page that shows it already needs no snapshot; one of
// another process gets one.
func (b board) version() string {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, r := range b {
		for _, p := range r.parts {
			_, _ = h.WriteString(p.id)
			_, _ = h.Write(p.html)
		}
		_ = h.WriteByte(0)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// snapshot is the patch that turns any page into b.
func (b board) snapshot() []byte { return b.since(nil) }

// swap appends one instruction in htmx's words.
func swap(buf *bytes.Buffer, id, how string, content []byte) {
	fmt.Fprintf(buf, `<hx-partial hx-target="#%s" hx-swap="%s">`, html.EscapeString(id), how)
	buf.Write(content)
	buf.WriteString("</hx-partial>\n")
}
