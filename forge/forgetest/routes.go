package forgetest

import "slices"

// routeTable lists every endpoint that the imitation answers, with the
// permission that GitHub's documentation names for it.
func (s *Server) routeTable() []route {
	return slices.Concat(s.appRoutes(), s.gitRoutes(), s.pullRoutes(), s.checkRoutes(), s.deploymentRoutes(), s.workflowRoutes())
}

const inRepo = "/repos/{owner}/{repo}"

func (s *Server) appRoutes() []route {
	get, post, patch := "GET", "POST", "PATCH"
	return []route{
		{method: get, pattern: "/app", who: appJWT, handle: s.getApp},
		{method: get, pattern: "/app/hook/config", who: appJWT, handle: s.getHookConfig},
		{method: patch, pattern: "/app/hook/config", who: appJWT, handle: s.patchHookConfig},
		{method: get, pattern: "/app/hook/deliveries", who: appJWT, handle: s.listDeliveries},
		{method: get, pattern: "/app/hook/deliveries/{delivery_id}", who: appJWT, handle: s.getDelivery},
		{method: post, pattern: "/app/hook/deliveries/{delivery_id}/attempts", who: appJWT, handle: s.redeliver},
		{method: get, pattern: "/app/installations", who: appJWT, handle: s.listInstallations},
		{method: get, pattern: "/app/installations/{installation_id}", who: appJWT, handle: s.getInstallation},
		{method: post, pattern: "/app/installations/{installation_id}/access_tokens", who: appJWT, handle: s.createToken},
		{method: get, pattern: inRepo + "/installation", who: appJWT, handle: s.repoInstallation},
		{method: post, pattern: "/app-manifests/{code}/conversions", who: anyone, handle: s.convertManifest},
		{method: get, pattern: "/installation/repositories", handle: s.listInstallationRepos},
		{method: get, pattern: "/rate_limit", who: anyone, handle: s.getRateLimit},
		{method: get, pattern: "/user", handle: s.getSelf},
		{method: get, pattern: "/user/{account_id}", who: anyone, handle: s.getUserByID},
		{method: get, pattern: "/users/{username}", who: anyone, handle: s.getUser},
		{method: get, pattern: inRepo, need: "metadata:read", handle: s.getRepo},
		{method: get, pattern: inRepo + "/collaborators/{username}", need: "metadata:read", handle: s.getCollaborator},
		{method: get, pattern: inRepo + "/collaborators/{username}/permission", need: "metadata:read", handle: s.getPermission},
		{method: get, pattern: inRepo + "/rules/branches/{branch}", need: "metadata:read", handle: s.getRules},
		{method: get, pattern: inRepo + "/branches/{branch}", need: "contents:read", handle: s.getBranch},
		{method: get, pattern: inRepo + "/branches/{branch}/protection/required_status_checks", need: "administration:read", handle: s.getRequiredChecks},
	}
}

func (s *Server) gitRoutes() []route {
	get, post, put, patch, del := "GET", "POST", "PUT", "PATCH", "DELETE"
	read, write := "contents:read", "contents:write"
	return []route{
		{method: get, pattern: inRepo + "/commits/{ref}", need: read, handle: s.getCommit},
		{method: get, pattern: inRepo + "/compare/{basehead}", need: read, handle: s.compare},
		{method: get, pattern: inRepo + "/contents/{path}", need: read, handle: s.getContents},
		{method: get, pattern: inRepo + "/contents", need: read, handle: s.getContents},
		{method: put, pattern: inRepo + "/contents/{path}", need: write, handle: s.putContents},
		{method: get, pattern: inRepo + "/git/trees/{tree_sha}", need: read, handle: s.getTree},
		{method: post, pattern: inRepo + "/git/trees", need: write, handle: s.postTree},
		{method: get, pattern: inRepo + "/git/blobs/{file_sha}", need: read, handle: s.getBlob},
		{method: post, pattern: inRepo + "/git/blobs", need: write, handle: s.postBlob},
		{method: get, pattern: inRepo + "/git/commits/{commit_sha}", need: read, handle: s.getGitCommit},
		{method: post, pattern: inRepo + "/git/commits", need: write, handle: s.postGitCommit},
		{method: get, pattern: inRepo + "/git/ref/{ref}", need: read, handle: s.getRef},
		{method: post, pattern: inRepo + "/git/refs", need: write, handle: s.postRef},
		{method: patch, pattern: inRepo + "/git/refs/{ref}", need: write, handle: s.patchRef},
		{method: del, pattern: inRepo + "/git/refs/{ref}", need: write, handle: s.deleteRef},
	}
}

func (s *Server) pullRoutes() []route {
	get, post, put, patch, del := "GET", "POST", "PUT", "PATCH", "DELETE"
	read, write := "pull_requests:read", "pull_requests:write"
	talkRead, talk := "issues:read|pull_requests:read", "issues:write|pull_requests:write"
	return []route{
		{method: get, pattern: inRepo + "/pulls", need: read, handle: s.listPulls},
		{method: post, pattern: inRepo + "/pulls", need: write, handle: s.postPull},
		{method: get, pattern: inRepo + "/pulls/{pull_number}", need: read, handle: s.getPull},
		{method: patch, pattern: inRepo + "/pulls/{pull_number}", need: write, handle: s.patchPull},
		{method: get, pattern: inRepo + "/pulls/{pull_number}/commits", need: read, handle: s.pullCommits},
		{method: get, pattern: inRepo + "/pulls/{pull_number}/files", need: read, handle: s.pullFiles},
		{method: get, pattern: inRepo + "/pulls/{pull_number}/reviews", need: read, handle: s.pullReviews},
		{method: get, pattern: inRepo + "/pulls/{pull_number}/merge", need: read, handle: s.isMerged},
		{method: put, pattern: inRepo + "/pulls/{pull_number}/merge", need: "contents:write", handle: s.putMerge},
		{method: put, pattern: inRepo + "/pulls/{pull_number}/update-branch", need: write, handle: s.updateBranch},
		{method: get, pattern: inRepo + "/commits/{commit_sha}/pulls", need: read, handle: s.pullsOfCommit},
		{method: get, pattern: inRepo + "/labels", need: talkRead, handle: s.listLabels},
		{method: post, pattern: inRepo + "/labels", need: talk, handle: s.postLabel},
		{method: get, pattern: inRepo + "/issues/{issue_number}/labels", need: talkRead, handle: s.pullLabels},
		{method: post, pattern: inRepo + "/issues/{issue_number}/labels", need: talk, handle: s.addLabels},
		{method: del, pattern: inRepo + "/issues/{issue_number}/labels/{name}", need: talk, handle: s.removeLabel},
		{method: get, pattern: inRepo + "/issues/{issue_number}/comments", need: talkRead, handle: s.listComments},
		{method: post, pattern: inRepo + "/issues/{issue_number}/comments", need: talk, handle: s.postComment},
		{method: get, pattern: inRepo + "/issues/comments/{comment_id}", need: talkRead, handle: s.getComment},
		{method: patch, pattern: inRepo + "/issues/comments/{comment_id}", need: talk, handle: s.patchComment},
		{method: del, pattern: inRepo + "/issues/comments/{comment_id}", need: talk, handle: s.deleteComment},
		{method: post, pattern: inRepo + "/issues/comments/{comment_id}/reactions", need: talk, handle: s.postReaction},
	}
}

func (s *Server) checkRoutes() []route {
	get, post, patch := "GET", "POST", "PATCH"
	return []route{
		{method: post, pattern: inRepo + "/check-runs", need: "checks:write", handle: s.postRun},
		{method: get, pattern: inRepo + "/check-runs/{check_run_id}", need: "checks:read", handle: s.getRun},
		{method: patch, pattern: inRepo + "/check-runs/{check_run_id}", need: "checks:write", handle: s.patchRun},
		{method: get, pattern: inRepo + "/check-suites/{check_suite_id}", need: "checks:read", handle: s.getSuite},
		{method: get, pattern: inRepo + "/check-suites/{check_suite_id}/check-runs", need: "checks:read", handle: s.suiteRuns},
		{method: get, pattern: inRepo + "/commits/{ref}/check-runs", need: "checks:read", handle: s.refRuns},
		{method: get, pattern: inRepo + "/commits/{ref}/check-suites", need: "checks:read", handle: s.refSuites},
		{method: get, pattern: inRepo + "/commits/{ref}/status", need: "statuses:read", handle: s.combinedStatus},
		{method: get, pattern: inRepo + "/commits/{ref}/statuses", need: "statuses:read", handle: s.listStatuses},
	}
}
