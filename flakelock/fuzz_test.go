package flakelock

import (
	"encoding/json"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add(readFile(f, "testdata/cases/046/before.lock")) // small: large seeds take long to minimize
	f.Add([]byte(oneInput))
	f.Add(tower(5, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := Parse(data)
		if err != nil {
			if len(err.Error()) > 64<<10 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !json.Valid(data) {
			t.Error("accepted what encoding/json refuses")
		}
		again, err := Parse(data)
		if err != nil {
			t.Fatalf("accepted once, refused twice: %v", err)
		}
		if Show(lock) != Show(again) {
			t.Error("shown differently the second time")
		}
		if changes, findings := Compare(lock, again), Inspect(lock, again); len(changes)+len(findings) > 0 {
			t.Errorf("a lock differs from itself: %v %v", changes, findings)
		}
		empty := &Lock{Version: lock.Version, Root: &Node{Flake: true}, nodes: 1}
		changes := Compare(empty, lock)
		if len(changes) < len(lock.Root.Inputs) {
			t.Errorf("%d changes from an empty lock to one with %d root inputs", len(changes), len(lock.Root.Inputs))
		}
		out, err := JSON(changes)
		if err != nil || !json.Valid(out) {
			t.Errorf("JSON: %v", err)
		}
		for _, f := range Inspect(empty, lock) {
			_ = f.String()
		}
		for _, in := range lock.RootInputs() {
			if in.Ref != nil {
				in.Ref.Under(in.Ref.Address())
			}
		}
	})
}
