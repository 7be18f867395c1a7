# NixFleet. `make run` shows the whole product, `make test` proves it.
# Both install what they need on Debian and say what is missing elsewhere.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -X github.com/nixfleet/nixfleet/app.Build=$(VERSION)
DEMO    ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## the whole product on embedded defaults: an update goes from pull request to nine switched hosts
	@scripts/ensure run
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/nixfleet ./cmd/nixfleet-agent
	./bin/nixfleet demo $(DEMO)

.PHONY: build
build: ## both programs, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/nixfleet ./cmd/nixfleet-agent

.PHONY: test
test: ## every test, on real Postgres, NATS, git, Nix and Chromium
	@scripts/ensure test
	$(GO) vet ./...
	$(GO) test -p 3 -timeout 20m ./... # tests of hosts wait more than they compute
	@$(MAKE) --no-print-directory darwin

.PHONY: race
race: ## every test once more, with the race detector, which takes about twice as long
	@scripts/ensure test
	$(GO) test -race -p 3 -timeout 40m ./...

.PHONY: bench
bench: ## the benchmarks, each a ratio to a physical limit measured in the same run
	@scripts/ensure test
	$(GO) test -run '^$$' -bench . -benchtime 3x -timeout 30m ./...

.PHONY: fuzz
fuzz: ## each fuzz target for ten seconds
	@scripts/fuzz 10s

.PHONY: lint
lint: ## golangci-lint and govulncheck (both are fetched through the Go module proxy)
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: generate
generate: ## the templates' Go code
	$(GO) run github.com/a-h/templ/cmd/templ@v0.3.977 generate

.PHONY: golden
golden: ## rewrite the golden files after a wanted change; read the diff
	$(GO) test ./dashboard ./forge -update
	$(GO) test ./fleet ./app -run Page -update
	$(GO) test . -run Nix -update

.PHONY: vendor-hash
vendor-hash: ## write nix/vendor-hash anew after a change of go.mod
	@scripts/vendor-hash

.PHONY: darwin
darwin: ## vet and build the agent for macOS, which the tests don't run on
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./agent/... ./agentbus ./cmd/nixfleet-agent
	GOOS=darwin GOARCH=amd64 CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/nixfleet-agent
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/nixfleet-agent

.PHONY: verify
verify: generate darwin ## fail when generated files or formatting are stale
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	scripts/vendor-hash --check
	git diff --exit-code
