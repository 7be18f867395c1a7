package forgetest

// OpenPullOf returns the number of the open pull request from a branch of the
// repository itself, or 0.
func (s *Server) OpenPullOf(repo, branch string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return 0
	}
	for _, p := range r.pulls {
		if p.state == "open" && p.head == r && p.headRef == branch {
			return p.number
		}
	}
	return 0
}
