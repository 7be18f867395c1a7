package forgetest

import (
	"net/http"
	"strings"
)

// extraPages are pages of whoever embeds the imitation, below one prefix.
type extraPages struct {
	prefix  string
	handler http.Handler
}

// SetPages adds pages below a prefix such as "/demo", for whoever embeds the
// imitation and needs a place where people press buttons. A nil handler removes
// them.
func (s *Server) SetPages(prefix string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = extraPages{prefix, h}
}

func (s *Server) extraPage(path string) http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.extra.prefix; p != "" && (path == p || strings.HasPrefix(path, p+"/")) {
		return s.extra.handler
	}
	return nil
}
