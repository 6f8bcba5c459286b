//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"fmt"

	vk "github.com/vulkan-go/vulkan"

	"github.com/ddpm-tui/ddpm-tui/shaders"
)

// A layout is what shaders with the same number of buffers share: bindings 0..n-1 are storage buffers, and there are push constants.
type layout struct {
	set      vk.DescriptorSetLayout
	pipeline vk.PipelineLayout
}

// pushWords is the push constants of every shader: 16 offsets of the buffers, in elements, and 16 arguments.
const pushWords = 32

func (b *Backend) layout(bindings int) (layout, error) {
	if l, ok := b.layouts[bindings]; ok {
		return l, nil
	}
	list := make([]vk.DescriptorSetLayoutBinding, bindings)
	for i := range list {
		list[i] = vk.DescriptorSetLayoutBinding{
			Binding: uint32(i), DescriptorType: vk.DescriptorTypeStorageBuffer, DescriptorCount: 1, StageFlags: vk.ShaderStageFlags(vk.ShaderStageComputeBit),
		}
	}
	set := &vk.DescriptorSetLayoutCreateInfo{SType: vk.StructureTypeDescriptorSetLayoutCreateInfo, BindingCount: uint32(bindings), PBindings: list}
	defer set.Free()
	var l layout
	var s vk.DescriptorSetLayout
	if err := check("making a descriptor layout", vk.CreateDescriptorSetLayout(b.d, set, nil, &s)); err != nil {
		return l, err
	}
	sets, free := inC([]vk.DescriptorSetLayout{s})
	defer free()
	info := &vk.PipelineLayoutCreateInfo{
		SType: vk.StructureTypePipelineLayoutCreateInfo, SetLayoutCount: 1, PSetLayouts: sets, PushConstantRangeCount: 1,
		PPushConstantRanges: []vk.PushConstantRange{{StageFlags: vk.ShaderStageFlags(vk.ShaderStageComputeBit), Size: 4 * pushWords}},
	}
	defer info.Free()
	var p vk.PipelineLayout
	if err := check("making a pipeline layout", vk.CreatePipelineLayout(b.d, info, nil, &p)); err != nil {
		vk.DestroyDescriptorSetLayout(b.d, s, nil)
		return l, err
	}
	l = layout{s, p}
	b.layouts[bindings] = l
	return l, nil
}

// A kernel is a shader compiled for its specialisation constants.
type kernel struct {
	layout
	bindings int
	pipeline vk.Pipeline
}

// kernel compiles a shader, or finds it compiled. The first constant is the workgroup's size. A subgroup that is not 0 is the size that
// all its subgroups must have.
func (b *Backend) kernel(name string, bindings int, constants []uint32, subgroup int) (*kernel, error) {
	key := fmt.Sprint(name, constants)
	if k := b.kernels[key]; k != nil {
		return k, nil
	}
	code, err := shaders.Load(name)
	if err != nil {
		return nil, err
	}
	l, err := b.layout(bindings)
	if err != nil {
		return nil, err
	}
	m, r := createModule(b.d, code)
	if err := check("loading shader "+name, r); err != nil {
		return nil, err
	}
	defer vk.DestroyShaderModule(b.d, m, nil)
	p, r := createPipeline(b.d, b.cache.h, m, l.pipeline, constants, subgroup)
	if err := check("compiling shader "+name, r); err != nil {
		return nil, err
	}
	k := &kernel{l, bindings, p}
	b.kernels[key] = k
	b.cache.grown = true
	return k, nil
}
