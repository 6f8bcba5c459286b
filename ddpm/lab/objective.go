package lab

import (
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// The buffers of a masked training step, which the host writes once.
const (
	BufMasks     = "masks"      // the bank, [M,S,S,C] u8
	BufMaskTable = "mask_table" // a time embedding for each mask, [M,C0]
	BufCoords    = "coords"     // masked: [B,S,S,2]; noise: [B,S,S,C+2], zeros for the mask
)

// Objective is the masked objective as a graph: for each image x0: [B,S,S,C] a mask is drawn, the network sees what it shows and says
// what it hides. loss: [1] and each: [B] are bits a hidden value, or its error; mask: [B] are the masks' places in the bank.
func (t *Task) Objective(g *graph.Graph, p *nn.Params, cfg *nn.UNetConfig, control, x0 *graph.Value) (loss, each, mask *graph.Value) {
	B, S, C := x0.Shape[0], x0.Shape[1], x0.Shape[3]
	state := func(name string, t graph.Type) *graph.Value { return graph.State(name, 0, t, name) }
	var x, hidden *graph.Value
	g.Scope("mask", func() {
		mask = g.RandomTimesteps(control, B, t.Masks)
		known := g.Scale(g.BatchImages(state(BufMasks, graph.U8(t.Masks, S, S, C)), mask, control, false, 0), 0.5, 0.5)
		hidden = g.Scale(known, -1, 1)
		shown := g.Scale(g.Mul(known, g.Scale(x0, 1, 1)), 1, -1) // black where it is hidden
		x = g.Concat(g.Concat(shown, known), state(BufCoords, graph.F32(B, S, S, 2)))
	})
	out := nn.UNetInTraining(g, p, cfg, x, mask, state(BufMaskTable, graph.F32(t.Masks, cfg.BlockOutChannels[0])), nil, control, nil)
	g.Scope("loss", func() { loss, each = g.NLL(t.Likelihood(), out, x0, hidden) })
	return loss, each, mask
}

// NoiseInput is the network's input for noisy images xt: [B,S,S,C].
func (t *Task) NoiseInput(g *graph.Graph, xt *graph.Value) *graph.Value {
	s := xt.Shape
	return g.Concat(xt, graph.State(BufCoords, 0, graph.F32(s[0], s[1], s[2], s[3]+2), BufCoords))
}

// Constants are what the host writes into the buffers of a step for B images of side x side pixels and C channels; table: [T,width] are
// the time embeddings. A task that has no masks leaves bank nil.
func (t *Task) Constants(B, side, C int, seed uint64, table []float32, width int) (bank *Bank, maskTable, coords []float32) {
	if !t.Masked() {
		return nil, nil, Coords(B, side, C+2)
	}
	bank = NewBank(t.Masks, side, C, seed)
	return bank, bank.Table(table, width), Coords(B, side, 2)
}
