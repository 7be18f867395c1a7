package forgetest

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// stamp is a time as the API writes it; the zero time is null.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func lower(s string) string { return strings.ToLower(s) }

// orNull turns "" into null.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nodeID(kind string, id any) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%03d:%s%v", len(kind), kind, id))
}

func (s *Server) userJSON(u *user) obj {
	login := url.PathEscape(u.login)
	at := s.api("/users/%s", login)
	page := s.web("/%s", login)
	if u.kind == "Bot" {
		page = s.web("/apps/%s", url.PathEscape(strings.TrimSuffix(u.login, "[bot]")))
	}
	return obj{
		"login": u.login, "id": u.id, "node_id": nodeID("User", u.id), "avatar_url": s.web("/avatars/u/%d", u.id),
		"gravatar_id": "", "url": at, "html_url": page, "followers_url": at + "/followers",
		"following_url": at + "/following{/other_user}", "gists_url": at + "/gists{/gist_id}",
		"starred_url": at + "/starred{/owner}{/repo}", "subscriptions_url": at + "/subscriptions",
		"organizations_url": at + "/orgs", "repos_url": at + "/repos", "events_url": at + "/events{/privacy}",
		"received_events_url": at + "/received_events", "type": u.kind, "site_admin": false,
	}
}

// userOrNull is for fields that hold no account yet.
func (s *Server) userOrNull(u *user) any {
	if u == nil {
		return nil
	}
	return s.userJSON(u)
}

func (s *Server) appJSON(a *app) obj {
	return obj{
		"id": a.id, "slug": a.slug, "client_id": s.clientID(a), "node_id": nodeID("App", a.id), "owner": s.userJSON(a.owner), "name": a.name,
		"description": "", "external_url": s.url, "html_url": s.web("/apps/%s", a.slug),
		"created_at": stamp(a.created), "updated_at": stamp(a.created),
		"permissions": s.opts.Permissions, "events": s.events,
	}
}

// clientID is known of our App; what others have is nobody's business.
func (s *Server) clientID(a *app) string {
	if a == s.self {
		return s.ClientID
	}
	return "Iv1." + a.slug
}

func (s *Server) installationJSON(i *installation) obj {
	return obj{
		"id": i.id, "account": s.userJSON(i.account), "repository_selection": "selected",
		"access_tokens_url": s.api("/app/installations/%d/access_tokens", i.id),
		"repositories_url":  s.api("/installation/repositories"),
		"html_url":          s.web("/settings/installations/%d", i.id),
		"app_id":            s.AppID, "app_slug": s.self.slug, "target_id": i.account.id, "target_type": i.account.kind,
		"permissions": i.permissions, "events": s.events, "created_at": stamp(i.created), "updated_at": stamp(i.updated),
		"single_file_name": nil, "has_multiple_single_files": false, "single_file_paths": []string{},
		"suspended_by": s.suspender(i), "suspended_at": stamp(i.suspended),
	}
}

func (s *Server) suspender(i *installation) any {
	if i.suspended.IsZero() {
		return nil
	}
	return s.userJSON(i.account)
}

// The links of a repository that are its API address and a tail.
var repoLinks = map[string]string{
	"forks_url": "/forks", "keys_url": "/keys{/key_id}", "collaborators_url": "/collaborators{/collaborator}",
	"teams_url": "/teams", "hooks_url": "/hooks", "issue_events_url": "/issues/events{/number}", "events_url": "/events",
	"assignees_url": "/assignees{/user}", "branches_url": "/branches{/branch}", "tags_url": "/tags",
	"blobs_url": "/git/blobs{/sha}", "git_tags_url": "/git/tags{/sha}", "git_refs_url": "/git/refs{/sha}",
	"trees_url": "/git/trees{/sha}", "statuses_url": "/statuses/{sha}", "languages_url": "/languages",
	"stargazers_url": "/stargazers", "contributors_url": "/contributors", "subscribers_url": "/subscribers",
	"subscription_url": "/subscription", "commits_url": "/commits{/sha}", "git_commits_url": "/git/commits{/sha}",
	"comments_url": "/comments{/number}", "issue_comment_url": "/issues/comments{/number}",
	"contents_url": "/contents/{+path}", "compare_url": "/compare/{base}...{head}", "merges_url": "/merges",
	"archive_url": "/{archive_format}{/ref}", "downloads_url": "/downloads", "issues_url": "/issues{/number}",
	"pulls_url": "/pulls{/number}", "milestones_url": "/milestones{/number}",
	"notifications_url": "/notifications{?since,all,participating}", "labels_url": "/labels{/name}",
	"releases_url": "/releases{/id}", "deployments_url": "/deployments",
}

// repoJSON is a repository with every field that any answer needs; GitHub
// sends fewer in some places.
func (s *Server) repoJSON(r *repository) obj {
	at, page := s.api("/repos/%s", r.fullName()), s.web("/%s", r.fullName())
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	open := 0
	for _, p := range r.pulls {
		if p.state == "open" {
			open++
		}
	}
	out := obj{
		"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private,
		"owner": s.userJSON(r.owner), "html_url": page, "description": nil, "fork": r.parent != nil, "url": at,
		"created_at": stamp(r.created), "updated_at": stamp(r.pushed), "pushed_at": stamp(r.pushed),
		"git_url": strings.Replace(page, "http:", "git:", 1) + ".git", "ssh_url": "git@" + strings.TrimPrefix(page, "http://") + ".git",
		"clone_url": page + ".git", "svn_url": page, "homepage": nil, "size": 0, "stargazers_count": 0, "watchers_count": 0,
		"language": nil, "has_issues": true, "has_projects": false, "has_downloads": true, "has_wiki": false, "has_pages": false,
		"has_discussions": false, "forks_count": 0, "mirror_url": nil, "archived": false, "disabled": false,
		"open_issues_count": open, "license": nil, "forks": 0, "open_issues": open, "watchers": 0,
		"default_branch": r.defaultBranch, "is_template": false, "topics": []string{}, "visibility": visibility,
		"web_commit_signoff_required": false, "custom_properties": obj{}, "allow_forking": true,
		"network_count": 0, "subscribers_count": 0, "delete_branch_on_merge": r.deleteOnMerge, "allow_auto_merge": false,
		"allow_merge_commit": r.methods["merge"], "allow_squash_merge": r.methods["squash"], "allow_rebase_merge": r.methods["rebase"],
	}
	for k, tail := range repoLinks {
		out[k] = at + tail
	}
	return out
}

// repoStub is the short form in installation events.
func repoStub(r *repository) obj {
	return obj{"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private}
}

func (s *Server) orgJSON(u *user) obj {
	at := s.api("/orgs/%s", u.login)
	return obj{
		"login": u.login, "id": u.id, "node_id": nodeID("Organization", u.id), "url": at, "repos_url": at + "/repos",
		"events_url": at + "/events", "hooks_url": at + "/hooks", "issues_url": at + "/issues",
		"members_url": at + "/members{/member}", "public_members_url": at + "/public_members{/member}",
		"avatar_url": s.web("/avatars/u/%d", u.id), "description": "",
	}
}
