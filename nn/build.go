package nn

import "github.com/ddpm-tui/ddpm-tui/backend/graph"

// BuildUNet makes a graph of the forward pass alone and returns it with its output. x: [n,size,size,in_channels], t: [n],
// table: [T,TimeFeatures] and, for a model with classes, class: [n] are state in buffers of those names.
func BuildUNet(p *Params, cfg *UNetConfig, n, T int) (g *graph.Graph, y *graph.Value, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	g, err = graph.Build(func(g *graph.Graph) {
		state := func(name string, t graph.Type) *graph.Value { return graph.State(name, 0, t, name) }
		x := state("x", graph.F32(n, cfg.SampleSize, cfg.SampleSize, cfg.InChannels))
		table := state("table", graph.F32(T, cfg.TimeFeatures()))
		var class *graph.Value
		if cfg.Classes() > 0 {
			class = state("class", graph.U32(n))
		}
		y = UNet(g, p, cfg, x, state("t", graph.U32(n)), table, class)
	})
	return g, y, err
}

// UNetParams returns the finished parameters of a config.
func UNetParams(cfg *UNetConfig) (*Params, error) {
	p := NewParams()
	if _, _, err := BuildUNet(p, cfg, 1, 1); err != nil {
		return nil, err
	}
	p.Finish()
	return p, nil
}
