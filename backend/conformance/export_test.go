package conformance

// Checks of a list of ops, for ops that the registry does not have.
var (
	CheckOps     = checkOps
	GradientsOps = gradientsOf
)
