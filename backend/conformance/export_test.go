package conformance

import (
	"context"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// Checks of a list of ops, for ops that the registry does not have.
var (
	CheckOps     = checkFP32
	GradientsOps = gradientsOf
)

func checkFP32(ctx context.Context, b backend.Backend, ops []*graph.Op, only string) []Result {
	return checkOps(ctx, b, ops, backend.FP32, only)
}
