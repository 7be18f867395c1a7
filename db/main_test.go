package db_test

import (
	"testing"

	"github.com/nixfleet/nixfleet/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
