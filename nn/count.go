package nn

import "github.com/ddpm-tui/ddpm-tui/backend/graph"

// ParamCount is the number of parameters of a config that Validate accepts.
func ParamCount(cfg *UNetConfig) int {
	p, err := UNetParams(cfg)
	if err != nil {
		panic(err)
	}
	return p.Count()
}

// MACs is the number of multiply-accumulates of the forward pass of one image, for a config that Validate accepts: those
// of convolutions, linear layers and the two products of attention, padding included, as is the custom.
func MACs(cfg *UNetConfig) int64 {
	g, _, err := BuildUNet(NewParams(), cfg, 1, 1)
	if err != nil {
		panic(err)
	}
	total := int64(0)
	for _, n := range g.Nodes {
		if n.Op.Name == "conv2d" || n.Op.Name == "attention" {
			total += flops(n) / 2
		}
	}
	return total
}

func flops(n *graph.Node) int64 {
	types := func(values []*graph.Value) []graph.Type {
		t := make([]graph.Type, len(values))
		for i, v := range values {
			if v != nil {
				t[i] = v.Type
			}
		}
		return t
	}
	return n.Op.FLOPs(n.Attrs, types(n.In), types(n.Out))
}
