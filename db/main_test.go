package db_test

import (
	"os"
	"testing"

	"github.com/nixfleet/nixfleet/db/dbtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(ownerCommand) != "" {
		os.Exit(runOwner())
	}
	dbtest.Main(m)
}
