package forgetest

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// install puts the App on a repository: on the owner's first one that makes
// the installation, later ones are added to it.
func (s *Server) install(r *repository) {
	var inst *installation
	for _, i := range s.installations {
		if i.account == r.owner {
			inst = i
		}
	}
	if inst != nil {
		inst.repos[r.id], r.inst = true, inst
		s.emitInstallRepos(inst, "added", r, r.owner)
		return
	}
	inst = &installation{
		id: s.newID(), account: r.owner, repos: map[int64]bool{r.id: true}, permissions: maps.Clone(s.opts.Permissions),
		created: s.now(), updated: s.now(),
	}
	s.installations[inst.id], r.inst = inst, inst
	s.emitInstall(inst, "created", r.owner, obj{"repositories": []obj{repoStub(r)}, "requester": nil})
}

// InstallationID is the installation that covers a repository, 0 if none does.
func (s *Server) InstallationID(repo string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil || r.inst == nil {
		return 0
	}
	return r.inst.id
}

// AddToInstallation installs the App on one more repository.
func (s *Server) AddToInstallation(repo string) error {
	return s.onRepo(repo, func(r *repository) error { s.install(r); return nil })
}

// RemoveFromInstallation takes one repository away from the App.
func (s *Server) RemoveFromInstallation(repo string) error {
	return s.onRepo(repo, func(r *repository) error {
		if r.inst == nil {
			return fmt.Errorf("the App is not installed on %s", repo)
		}
		inst := r.inst
		delete(inst.repos, r.id)
		r.inst = nil
		s.emitInstallRepos(inst, "removed", r, r.owner)
		return nil
	})
}

func (s *Server) onRepo(name string, f func(*repository) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return err
	}
	return f(r)
}

func (s *Server) onInstallation(id int64, f func(*installation)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	inst := s.installations[id]
	if inst == nil {
		return fmt.Errorf("no installation %d", id)
	}
	f(inst)
	return nil
}

// Suspend is the button on the installation's page. While suspended its tokens answer 403 and no events about its repositories come.
func (s *Server) Suspend(installationID int64) error {
	return s.onInstallation(installationID, func(i *installation) {
		i.suspended, i.updated = s.now(), s.now()
		s.emitInstall(i, "suspend", i.account, nil)
	})
}

// Unsuspend ends a suspension.
func (s *Server) Unsuspend(installationID int64) error {
	return s.onInstallation(installationID, func(i *installation) {
		i.suspended, i.updated = time.Time{}, s.now()
		s.emitInstall(i, "unsuspend", i.account, nil)
	})
}

// Uninstall removes the App from an account; its tokens die.
func (s *Server) Uninstall(installationID int64) error {
	return s.onInstallation(installationID, func(i *installation) {
		stubs := []obj{}
		for _, r := range s.repos {
			if r.inst == i {
				r.inst = nil
				stubs = append(stubs, repoStub(r))
			}
		}
		delete(s.installations, i.id)
		s.emitInstall(i, "deleted", i.account, obj{"repositories": stubs})
	})
}

// GrantPermissions changes what an installation allows, from now on and for
// new tokens.
func (s *Server) GrantPermissions(installationID int64, permissions map[string]string) error {
	return s.onInstallation(installationID, func(i *installation) { i.permissions = maps.Clone(permissions) })
}

func (s *Server) emitInstall(i *installation, action string, by *user, more obj) {
	body := s.installationJSON(i)
	if action == "created" || action == "deleted" { // these two write times as numbers
		body["created_at"], body["updated_at"] = i.created.Unix(), i.updated.Unix()
	}
	s.queueHook("installation", with(obj{"action": action, "installation": body, "sender": s.userJSON(by)}, more), i.id, nil)
}

func (s *Server) emitInstallRepos(i *installation, action string, r *repository, by *user) {
	body := s.installationJSON(i)
	body["created_at"], body["updated_at"] = i.created.Unix(), i.updated.Unix()
	payload := obj{
		"action": action, "installation": body, "repository_selection": "selected", "repositories_added": []obj{},
		"repositories_removed": []obj{}, "requester": nil, "sender": s.userJSON(by),
	}
	payload["repositories_"+action] = []obj{repoStub(r)}
	s.queueHook("installation_repositories", payload, i.id, nil)
}

// SetPermission gives an account a role on a repository: none, read, triage,
// write, maintain or admin.
func (s *Server) SetPermission(repo, login, role string) error {
	return s.onRepo(repo, func(r *repository) error {
		r.permissions[lower(s.person(login).login)] = role
		return nil
	})
}

// Rename changes a repository's name; its old addresses answer 301.
func (s *Server) Rename(repo, newName, by string) error {
	return s.onRepo(repo, func(r *repository) error {
		old := r.name
		if _, taken := s.byName[lower(r.owner.login+"/"+newName)]; taken {
			return errors.New("rename " + repo + ": the name is taken")
		}
		s.readdress(r, func() { r.name = newName })
		s.emit(r, "repository", obj{"action": "renamed", "changes": obj{"repository": obj{"name": obj{"from": old}}}}, s.person(by))
		return nil
	})
}

// Transfer gives a repository to another account, which the App is then not
// installed on unless it already was.
func (s *Server) Transfer(repo, newOwner string) error {
	return s.onRepo(repo, func(r *repository) error {
		old, inst := r.owner, r.inst
		s.readdress(r, func() { r.owner = s.person(newOwner) })
		s.emit(r, "repository", obj{
			"action": "transferred", "changes": obj{"owner": obj{"from": obj{"user": s.userJSON(old)}}},
		}, old)
		if inst != nil && inst.account != r.owner {
			delete(inst.repos, r.id)
			r.inst = nil
		}
		return nil
	})
}

func (s *Server) readdress(r *repository, change func()) {
	was := lower(r.fullName())
	delete(s.byName, was)
	s.moved[was] = r.id
	change()
	s.byName[lower(r.fullName())] = r.id
	delete(s.moved, lower(r.fullName()))
}

// SetDefaultBranch changes the default branch.
func (s *Server) SetDefaultBranch(repo, branch, by string) error {
	return s.onRepo(repo, func(r *repository) error {
		old := r.defaultBranch
		if r.git.tip(branch) == "" {
			return fmt.Errorf("%s has no branch %q", repo, branch)
		}
		if _, err := r.git.run("symbolic-ref", "HEAD", "refs/heads/"+branch); err != nil {
			return err
		}
		r.defaultBranch = branch
		s.emit(r, "repository", obj{"action": "edited", "changes": obj{"default_branch": obj{"from": old}}}, s.person(by))
		return nil
	})
}

// Ping sends the event that GitHub sends when a webhook is set up.
func (s *Server) Ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.api("/app/hook")
	s.queueHook("ping", obj{
		"zen": "Anything added dilutes everything else.", "hook_id": s.HookID,
		"hook": obj{
			"type": "App", "id": s.HookID, "name": "web", "active": true, "app_id": s.AppID, "events": s.events, "config": s.hookConfig(),
			"updated_at": stamp(s.now()), "created_at": stamp(s.now()), "deliveries_url": at + "/deliveries",
		}, "sender": s.userJSON(s.self.owner),
	}, nil, nil)
}
