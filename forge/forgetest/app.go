package forgetest

import (
	"net/http"
	"slices"
)

// events that an App is subscribed to unless it was made from a manifest;
// installation events always come.
var events = []string{
	"check_run", "check_suite", "issue_comment", "pull_request", "push", "repository", "status", "workflow_run",
}

func (s *Server) getApp(*call) reply {
	body := s.appJSON(s.self)
	body["installations_count"] = len(s.installations)
	return ok(body)
}

func (s *Server) listInstallations(c *call) reply {
	return paged(s, c, collect(s.sortedInstallations(), s.installationJSON))
}

func (s *Server) sortedInstallations() []*installation {
	var list []*installation
	for _, i := range s.installations {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b *installation) int { return int(a.id - b.id) })
	return list
}

func (s *Server) getInstallation(c *call) reply {
	inst := s.installations[c.number("installation_id")]
	if inst == nil {
		return notFound()
	}
	return ok(s.installationJSON(inst))
}

func (s *Server) repoInstallation(c *call) reply {
	if c.repo.inst == nil {
		return notFound()
	}
	return ok(s.installationJSON(c.repo.inst))
}

func (s *Server) listInstallationRepos(c *call) reply {
	if c.token == nil {
		return refuse(http.StatusUnauthorized, "Requires authentication")
	}
	rep := counted(s, c, "repositories", collect(s.reposOf(c.token), s.repoJSON))
	rep.body.(obj)["repository_selection"] = "selected"
	return rep
}

func (s *Server) getUser(c *call) reply {
	u := s.users[lower(c.params["username"])]
	if u == nil {
		return notFound()
	}
	return ok(s.publicJSON(u))
}

// publicJSON is all that everybody may know of an account.
func (s *Server) publicJSON(u *user) obj {
	body := s.userJSON(u)
	for _, k := range []string{"bio", "blog", "company", "email", "hireable", "location", "name", "twitter_username"} {
		body[k] = nil
	}
	for _, k := range []string{"followers", "following", "public_gists", "public_repos"} {
		body[k] = 0
	}
	body["created_at"], body["updated_at"] = stamp(u.created), stamp(u.created)
	body["user_view_type"] = "public"
	return body
}

func (s *Server) getRepo(c *call) reply { return ok(s.repoJSON(c.repo)) }

func (s *Server) getPermission(c *call) reply {
	u := s.users[lower(c.params["username"])]
	if u == nil {
		return notFound()
	}
	role := s.permissionOf(c.repo, u)
	// The old field knows four levels only; role_name has all.
	level := map[string]string{"maintain": "write", "triage": "read"}[role]
	if level == "" {
		level = role
	}
	body := s.userJSON(u)
	body["role_name"] = role
	rank := slices.Index([]string{"none", "read", "triage", "write", "maintain", "admin"}, role)
	body["permissions"] = obj{"pull": rank >= 1, "triage": rank >= 2, "push": rank >= 3, "maintain": rank >= 4, "admin": rank >= 5}
	return ok(obj{"permission": level, "role_name": role, "user": body})
}

func (s *Server) permissionOf(r *repository, u *user) string {
	if p, ok := r.permissions[lower(u.login)]; ok {
		return p
	}
	switch {
	case u == r.owner:
		return "admin"
	case r.private:
		return "none"
	default:
		return "read"
	}
}

func (s *Server) hookConfig() obj {
	out := obj{"content_type": "json", "insecure_ssl": "0", "url": s.hookURL}
	if s.hookSecret != "" {
		out["secret"] = "********"
	}
	return out
}

func (s *Server) getHookConfig(*call) reply { return ok(s.hookConfig()) }

func (s *Server) patchHookConfig(c *call) reply {
	in, bad := decode[struct{ URL, Secret *string }](c)
	if bad != nil {
		return *bad
	}
	if in.URL != nil {
		s.hookURL = *in.URL
	}
	if in.Secret != nil {
		s.hookSecret = *in.Secret
	}
	return ok(s.hookConfig())
}
