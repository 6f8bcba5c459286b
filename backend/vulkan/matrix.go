//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"encoding/binary"
	"os"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Cooperative matrices (GL_KHR_cooperative_matrix) are the matrix units of a GPU: a subgroup multiplies matrices of halfs and adds up
// in fp32. Convolutions use them instead of the fp32 tile where reduced precision was asked for (matrix.glsl). The memory of a program
// stays as it is: operands become halfs on their way into shared memory.

// subgroups is what a device says of the sizes of its subgroups. The shader counts on one size, which the pipeline then requires.
type subgroups struct {
	least, most int
	fixed       bool // pipelines may require a size, and that no subgroup is partly empty
}

// Structure types of VK_EXT_subgroup_size_control.
const (
	sSizing        = 1000225000
	sSizingFeature = 1000225002
)

// readSubgroups asks for the sizes of subgroups.
func (p *physical) readSubgroups() {
	if !p.extensions[extSubgroupSizing] {
		return
	}
	var f, v chain
	defer f.free()
	defer v.free()
	can := f.add(sSizingFeature, 8)
	f.add(sFeatures2, sizeFeatures)
	features2(p.h, &f)
	sizes := v.add(sSizing, 16)
	v.add(sProperties2, sizeProperties)
	properties2(p.h, &v)
	const compute = 0x20
	p.subgroups = subgroups{int(u32(sizes, 0)), int(u32(sizes, 1)), u32(can, 0) != 0 && u32(can, 1) != 0 && u32(sizes, 3)&compute != 0}
}

// units is the shape of cooperative matrices that the shaders use, f16 by f16 to f32, the largest whose extents
// are multiples of 8, as the lines in shared memory are; nil and why where there is none.
func (p *physical) units() (best *matrixShape, why string) {
	const f16, f32 = 0, 1
	for i := range p.matrices {
		m := &p.matrices[i]
		if m.A != f16 || m.B != f16 || m.C != f32 || m.R != f32 || m.M%8 != 0 || m.N%8 != 0 || m.K%8 != 0 {
			continue
		}
		if best == nil || m.M*m.N*m.K > best.M*best.N*best.K {
			best = m
		}
	}
	switch {
	case best == nil:
		return nil, "the device lists no cooperative matrices of halfs with sums in fp32"
	case os.Getenv(MatricesEnv) == "off":
		return nil, MatricesEnv + " is off"
	case !p.half:
		return nil, "the device has no arithmetic in halfs"
	case !p.subgroups.fixed:
		return nil, "the driver cannot fix the size of subgroups"
	}
	return best, ""
}

// wishMatrices adds what the matrix shaders need to the features and extensions of the device.
func (b *Backend) wishMatrices(c *chain) (extensions []string) {
	if m, _ := b.units(); m == nil {
		return nil
	}
	extensions = []string{extCooperative, extSubgroupSizing}
	binary.LittleEndian.PutUint32(c.add(sCooperative, 8), 1)
	sizing := c.add(sSizingFeature, 8)
	binary.LittleEndian.PutUint32(sizing, 1)
	binary.LittleEndian.PutUint32(sizing[4:], 1)
	if b.extensions[extMemoryModel] {
		extensions = append(extensions, extMemoryModel)
		binary.LittleEndian.PutUint32(c.add(sMemoryModel, 12), 1)
	}
	return extensions
}

// openMatrices decides whether the convolutions of programs in fp16 use cooperative matrices: they are there, not switched off, and right.
func (b *Backend) openMatrices(o Options) error {
	m, why := b.units()
	if m != nil && o.NoMatrices {
		m, why = nil, "it was chosen to do without"
	}
	if m == nil {
		b.note("no cooperative matrices: " + why)
		return nil
	}
	return b.useMatrices(m, b.once)
}

// useMatrices puts cooperative matrices to use if convolutions with them, as compute does one, pass the self-test.
func (b *Backend) useMatrices(m *matrixShape, compute convolve) error {
	b.matrix = m
	wrong, err := selfTest(backend.F32, compute)
	if wrong != "" {
		b.matrix = nil
		b.note("cooperative matrices are left out, they compute wrong on this driver: " + wrong)
	}
	return err
}

// matrixFor is the shape of the cooperative matrices that a convolution uses, nil for none.
func (b *Backend) matrixFor(s *backend.Step) *matrixShape {
	if s.Precision != backend.FP16 {
		return nil
	}
	return b.matrix
}

// note remembers something that a person should know of this device.
func (b *Backend) note(text string) { b.notes = append(b.notes, text) }

// Notes implements backend.Noter.
func (b *Backend) Notes() []string { return b.notes }

// matrixTilings are the tilings for cooperative matrices, the largest first: 8 x 8 matrices to a workgroup and 4 x 2 to a subgroup, and
// less. A driver in software gets only the least: its compiler takes minutes for the others.
func (b *Backend) matrixTilings(m *matrixShape) (list []tiling) {
	M, N, K, n := m.M, m.N, m.K, b.Limits.Subgroup
	all := []tiling{{8 * M, 8 * N, 2 * K, 4 * M, 2 * N, n}, {4 * M, 4 * N, 2 * K, 2 * M, 2 * N, n}, {2 * M, 2 * N, 2 * K, 2 * M, 2 * N, n}}
	switch {
	case b.onlyTiling > 0:
		return all[b.onlyTiling-1 : b.onlyTiling]
	case b.Kind == "cpu":
		return all[len(all)-1:]
	}
	for _, t := range all {
		halfs := max(t.BM*(t.BK+8), t.BK*(t.BM+8)) + max(t.BN*(t.BK+8), t.BK*(t.BN+8)) // with the gaps between lines, whichever way they run
		if 2*halfs+4*t.local()/n*M*N <= b.Limits.Shared {
			list = append(list, t)
		}
	}
	return list
}

// Rounding implements backend.Rounder: the matrix units take halfs.
func (b *Backend) Rounding(op string, p backend.Precision) float64 {
	if b.matrix != nil && p == backend.FP16 && (op == "conv2d" || op == "conv2d_data" || op == "conv2d_weight") {
		return 1.0 / 2048
	}
	return 0
}
