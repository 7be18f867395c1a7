package forgetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

func (d *delivery) summary() obj {
	return obj{
		"id": d.id, "guid": d.guid, "delivered_at": stamp(d.at), "redelivery": d.redelivery, "duration": d.took.Seconds(),
		"status": d.status, "status_code": d.code, "event": d.event, "action": orNull(d.action),
		"installation_id": d.installation, "repository_id": d.repo, "throttled_at": nil,
	}
}

// listDeliveries is paged by cursor, newest first.
func (s *Server) listDeliveries(c *call) reply {
	s.hooks.mu.Lock()
	list := slices.Clone(s.hooks.log)
	s.hooks.mu.Unlock()
	slices.Reverse(list)
	size, err := strconv.Atoi(c.query.Get("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, 100)
	if want := c.query.Get("status"); want != "" {
		list = slices.DeleteFunc(list, func(d *delivery) bool { return (d.status == "OK") != (want == "success") })
	}
	if cursor := c.query.Get("cursor"); cursor != "" {
		at := slices.IndexFunc(list, func(d *delivery) bool { return strconv.FormatInt(d.id, 10) == cursor })
		if at < 0 {
			return refuse(http.StatusBadRequest, "Invalid cursor")
		}
		list = list[at:]
	}
	header := http.Header{}
	if len(list) > size {
		q := c.query
		q.Set("cursor", strconv.FormatInt(list[size].id, 10))
		header.Set("Link", "<"+s.url+c.http.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
		list = list[:size]
	}
	return reply{status: http.StatusOK, header: header, body: collect(list, (*delivery).summary)}
}

func (s *Server) getDelivery(c *call) reply {
	d := s.hooks.byID(c.number("delivery_id"))
	if d == nil {
		return notFound()
	}
	body := d.summary()
	body["url"] = d.url
	body["request"] = obj{"headers": flat(d.header), "payload": json.RawMessage(d.payload)}
	body["response"] = obj{"headers": flat(d.answer), "payload": orNull(d.answerBody)}
	return ok(body)
}

func flat(h http.Header) obj {
	out := obj{}
	for k := range h {
		out[k] = h.Get(k)
	}
	return out
}

func (s *Server) redeliver(c *call) reply {
	if !s.again(c.number("delivery_id")) {
		return notFound()
	}
	return reply{status: http.StatusAccepted, body: obj{}}
}
