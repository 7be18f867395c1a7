package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Version is what a server is.
type Version struct {
	Version string `json:"version" example:"1.0.0"`
	Build   string `json:"build" doc:"The commit that it was built from" example:"v1.0.0-3-g4f2a9c1"`
	API     string `json:"api" enum:"v1"`
}

type versionOutput struct{ Body Version }

func versions(a huma.API, version, build string) {
	huma.Register(a, huma.Operation{
		OperationID: "get-version", Tags: []string{TagServer}, Method: http.MethodGet, Path: "/api/v1/version", Summary: "Which version the server is",
		Description: "Every answer of the API says so as well, in the header " + versionHeader + ".", Metadata: needs("viewer"),
	}, func(context.Context, *struct{}) (*versionOutput, error) {
		return &versionOutput{Version{Version: version, Build: build, API: "v1"}}, nil
	})
}

// Version asks which version the server is.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var out Version
	err := c.call(ctx, http.MethodGet, "/api/v1/version", nil, &out)
	return out, err
}
