package main

import (
	"bufio"
	"fmt"
)

// agree asks a person, and is an error unless the answer is yes.
func agree(e *env, question string) error {
	_, _ = fmt.Fprint(e.out, question+" [y/N] ")
	if said := answer(bufio.NewReader(e.in)); said != "y" && said != "yes" {
		return usagef("not confirmed, nothing was done; without a person to ask, add --yes")
	}
	return nil
}
