//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// pipelineCache keeps what the driver made of the shaders in the user's cache folder, so that the second start is quick. It is
// only a convenience: whatever goes wrong with the file, the shaders are compiled.
type pipelineCache struct {
	h     vk.PipelineCache
	file  string // "" for none
	grown bool   // since it was loaded
}

func (b *Backend) openCache() error {
	c := &b.cache
	c.file = b.cacheFile()
	data := readCache(c.file)
	held, free := inC(data)
	defer free()
	info := &vk.PipelineCacheCreateInfo{SType: vk.StructureTypePipelineCacheCreateInfo, InitialDataSize: uint(len(held))}
	if len(held) > 0 {
		info.PInitialData = unsafe.Pointer(&held[0])
	}
	defer info.Free()
	var h vk.PipelineCache
	r := vk.CreatePipelineCache(b.d, info, nil, &h)
	c.h = h
	return check("making the pipeline cache", r)
}

// cacheFile names the file by device and driver.
func (b *Backend) cacheFile() string {
	folder := os.Getenv(CacheEnv)
	if folder == "off" {
		return ""
	}
	if folder == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		folder = filepath.Join(base, "ddpm-tui")
	}
	return filepath.Join(folder, "vulkan-"+hex.EncodeToString(b.uuid[:])+".cache")
}

// readCache is the content of the file behind its hash; nothing if the file is not whole, since drivers trust what they are given.
func readCache(file string) []byte {
	p, err := os.ReadFile(file)
	if err != nil || len(p) < sha256.Size {
		return nil
	}
	if sum := sha256.Sum256(p[sha256.Size:]); !bytes.Equal(sum[:], p[:sha256.Size]) {
		return nil
	}
	return p[sha256.Size:]
}

// saveCache writes the file beside and renames it: two processes may do so at the same time.
func (b *Backend) saveCache() error {
	c := &b.cache
	if c.file == "" || !c.grown {
		return nil
	}
	c.grown = false
	var n uint
	if err := check("reading the pipeline cache", vk.GetPipelineCacheData(b.d, c.h, &n, nil)); err != nil || n == 0 {
		return err
	}
	held, free := inC(make([]byte, n))
	defer free()
	if err := check("reading the pipeline cache", vk.GetPipelineCacheData(b.d, c.h, &n, unsafe.Pointer(&held[0]))); err != nil {
		return err
	}
	sum := sha256.Sum256(held[:n])
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), filepath.Base(c.file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(sum[:], held[:n]...))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// closeCache saves it; that it could not be saved costs some seconds at the next start and nothing else.
func (b *Backend) closeCache() error {
	if b.lost == nil {
		_ = b.saveCache()
	}
	vk.DestroyPipelineCache(b.d, b.cache.h, nil)
	return nil
}
