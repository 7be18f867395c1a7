package forgetest

import (
	"encoding/json"
	"net/http"
)

func (s *Server) listLabels(c *call) reply {
	return paged(s, c, collect(c.repo.labels, func(l *label) obj { return s.labelJSON(c.repo, l) }))
}

func (s *Server) postLabel(c *call) reply {
	in, bad := decode[struct{ Name, Color string }](c)
	if bad != nil {
		return *bad
	}
	for _, l := range c.repo.labels {
		if lower(l.name) == lower(in.Name) {
			return invalid("Label", "name", "already_exists")
		}
	}
	l := s.label(c.repo, in.Name)
	if in.Color != "" {
		l.color = in.Color
	}
	return created(s.labelJSON(c.repo, l))
}

func (s *Server) pullLabels(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	return paged(s, c, s.labelsJSON(p))
}

// addLabels takes {"labels":[…]} and, as older clients send it, a bare list.
func (s *Server) addLabels(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	var names []string
	if json.Unmarshal(c.body, &names) != nil {
		in, bad := decode[struct{ Labels []string }](c)
		if bad != nil {
			return *bad
		}
		names = in.Labels
	}
	for _, name := range names {
		s.addLabel(p, name, s.bot())
	}
	return ok(s.labelsJSON(p))
}

func (s *Server) removeLabel(c *call) reply {
	p := pullOf(c)
	if p == nil || !s.dropLabel(p, c.params["name"], s.bot()) {
		return refuse(http.StatusNotFound, "Label does not exist")
	}
	return ok(s.labelsJSON(p))
}
