package forgetest

type checks struct{}

func loadChecks(TB) *checks { return nil }

func (*checks) exchange(*Server, *call, reply) {}

func (*checks) webhook(*Server, string, []byte) {}
