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

// PullText returns the title and the body of a pull request.
func (s *Server) PullText(repo string, number int) (title, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return "", ""
	}
	for _, p := range r.pulls {
		if p.number == number {
			return p.title, p.body
		}
	}
	return "", ""
}

// File returns what a file holds at the tip of a branch, "" if it is not there.
func (s *Server) File(repo, branch, path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return ""
	}
	content, err := r.git.run("cat-file", "blob", "refs/heads/"+branch+":"+path)
	if err != nil {
		return ""
	}
	return string(content)
}
