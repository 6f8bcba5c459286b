package conformance

import (
	"context"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// guard is the least number of bytes between two values of a buffer, which nobody may touch.
const guard = 64

// unset is what outputs hold before a run: NaN as a float, no likely result as an integer.
const unset = 0xFF

// memory is what a buffer holds before each run, and which bytes a run may change.
type memory struct {
	skew  int
	image []byte
	free  []bool
}

// reserve finds room for an output.
func (m *memory) reserve(n int) (at int) {
	at = (len(m.image)+guard+63)/64*64 + m.skew
	for len(m.image) < at+n+guard {
		m.image = append(m.image, byte(0xA5^len(m.image)))
		m.free = append(m.free, false)
	}
	for i := range n {
		m.image[at+i] = unset
	}
	m.release(at, n)
	return at
}

// place finds room for an input.
func (m *memory) place(p []byte) (at int) {
	at = m.reserve(len(p))
	copy(m.image[at:], p)
	for i := range p {
		m.free[at+i] = false
	}
	return at
}

// release lets the program change n bytes.
func (m *memory) release(at, n int) {
	for i := range n {
		m.free[at+i] = true
	}
}

// trespass reports the first byte that changed and should not have.
func (m *memory) trespass(name string, now []byte) error {
	for i, b := range now {
		if b != m.image[i] && !m.free[i] {
			return fmt.Errorf("byte %d of buffer %q was %#02x and is now %#02x: an input or the space between two values was written", i, name, m.image[i], b)
		}
	}
	return nil
}

// device is a compiled program with its buffers.
type device struct {
	b    backend.Backend
	p    *backend.Program
	exe  backend.Executable
	bufs map[string]backend.Buffer
}

// compile plans g and gives it buffers of the sizes named, and an arena.
func compile(b backend.Backend, g *graph.Graph, precision backend.Precision, reuse, untold, eager bool, sizes map[string]int) (*device, error) {
	o := plan.Options{Name: "conformance", Reuse: reuse, Untold: untold, Precision: precision}
	o.Planner, _ = b.(backend.Planner)
	if eager {
		o.Planner = eagerly(b)
	}
	p, _, err := plan.Compile(g, o)
	if err != nil {
		return nil, err
	}
	d := &device{b: b, p: p, bufs: map[string]backend.Buffer{}}
	for _, slot := range p.Buffers {
		n := slot.Bytes
		if slot.Name == plan.Arena {
			n += guard
		} else if have, ok := sizes[slot.Name]; ok {
			n = have
		}
		buf, err := b.NewBuffer(n)
		if err != nil {
			d.close()
			return nil, err
		}
		d.bufs[slot.Name] = buf
		if err := p.Bind(slot.Name, buf); err != nil {
			d.close()
			return nil, err
		}
	}
	if d.exe, err = b.Compile(p); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *device) close() {
	if d.exe != nil {
		d.exe.Close()
	}
	for _, b := range d.bufs {
		b.Close()
	}
}

// soil fills the arena with b, so that a kernel that counts on zeros in it is found out.
func (d *device) soil(b byte) error {
	p := make([]byte, d.bufs[plan.Arena].Size())
	for i := range p {
		p[i] = b
	}
	return d.bufs[plan.Arena].Write(0, p)
}

// read returns the content of a buffer, nil if the program has none of that name.
func (d *device) read(name string) ([]byte, error) {
	b := d.bufs[name]
	if b == nil {
		return nil, nil
	}
	p := make([]byte, b.Size())
	return p, b.Read(0, p)
}

// The replays of a setup: what the arena holds before each, and how often the program runs. The second finds what the first
// left; whatever is there, results must be the same bytes.
var replays = []struct {
	dirt  byte
	soil  bool
	times int
}{
	{0xFF, true, 1}, // NaN
	{0, false, 2},
	{0x4B, true, 1}, // 1.3e7
}

// run replays a setup and compares its probes; diff is the worst of the op's own outputs.
func (s *setup) run(ctx context.Context, b backend.Backend) (diff float64, err error) {
	mems := map[string]*memory{inBuffer: s.in, outBuffer: s.out}
	d, err := compile(b, s.g, s.p.precision, s.v.reuse, false, s.v.half, map[string]int{inBuffer: len(s.in.image), outBuffer: len(s.out.image)})
	if err != nil {
		return 0, err
	}
	defer d.close()
	if len(s.apart) > 0 {
		if err := s.laidApart(d.p); err != nil {
			return 0, err
		}
	}
	first := map[string][]byte{}
	for n, r := range replays {
		for name, m := range mems {
			if buf := d.bufs[name]; buf != nil {
				if err := buf.Write(0, m.image); err != nil {
					return diff, err
				}
			}
		}
		if r.soil {
			if err := d.soil(r.dirt); err != nil {
				return diff, err
			}
		}
		times := r.times
		if s.replace {
			times = 1 // running twice would update twice
		}
		if err := d.exe.Run(ctx, times); err != nil {
			return diff, err
		}
		for _, name := range []string{inBuffer, outBuffer} {
			now, err := d.read(name)
			if err != nil {
				return diff, err
			}
			if n == 0 {
				first[name] = now
				if err := mems[name].trespass(name, now); err != nil {
					return diff, err
				}
			} else if i := firstDifference(first[name], now); i >= 0 {
				return diff, s.changed(mems[name], n, i, first[name], now)
			}
		}
		if n == 0 {
			if diff, err = s.compare(first); err != nil {
				return diff, err
			}
		}
		if err := d.arenaGuard(r.dirt, r.soil); err != nil {
			return diff, err
		}
	}
	return diff, nil
}

// arenaGuard looks at the bytes behind the arena.
func (d *device) arenaGuard(dirt byte, soiled bool) error {
	if !soiled {
		return nil
	}
	p, b := make([]byte, guard), d.bufs[plan.Arena]
	if err := b.Read(b.Size()-guard, p); err != nil {
		return err
	}
	for i, v := range p {
		if v != dirt {
			return fmt.Errorf("byte %d behind the end of the arena was written", i)
		}
	}
	return nil
}

// compare looks at every probe; the op's outputs come first, and the first error is reported.
func (s *setup) compare(now map[string][]byte) (diff float64, err error) {
	for _, p := range s.probes {
		name := outBuffer
		if p.mem == s.in {
			name = inBuffer
		}
		d, e := compare(decode(p.want.Type, now[name][p.at:]), p.want, p.tol, p.scale)
		if p.own {
			diff = max(diff, d)
		}
		if e != nil && err == nil {
			err = fmt.Errorf("%s %v: %w", p.what, p.want.Type, e)
		}
	}
	return diff, err
}

// changed names the value that a later replay gave differently.
func (s *setup) changed(m *memory, replay, at int, was, is []byte) error {
	for _, p := range s.probes {
		if n := p.want.Bytes(); p.mem == m && at >= p.at && at < p.at+n {
			i := (at - p.at) / p.want.DType.Size()
			return fmt.Errorf("%s %v: replay %d gave %v at %s, the first %v", p.what, p.want.Type, replay+1,
				decode(p.want.Type, is[p.at:]).Data[i], index(p.want.Shape, i), decode(p.want.Type, was[p.at:]).Data[i])
		}
	}
	return fmt.Errorf("replay %d: byte %d is %#02x, after the first it was %#02x", replay+1, at, is[at], was[at])
}
