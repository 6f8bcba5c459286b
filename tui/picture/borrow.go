package picture

import (
	"image"
	"math/bits"
	"sync"
)

// buffers, by the power of two that they hold, are those of encodings that are done: a picture comes about once a second and is as large
// as the one before, and to get fresh memory takes longer than some of the work in it.
var buffers [bits.UintSize]sync.Pool

func sizeClass(n int) int { return bits.Len(uint(n - 1)) }

// borrow is n bytes, at least one, with what they had before, until giveBack.
func borrow(n int) []byte {
	class := sizeClass(n)
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<class)
}

// giveBack takes borrowed bytes that nothing points to any more.
func giveBack(b []byte) { buffers[sizeClass(cap(b))].Put(&b) }

// borrowRGBA is a transparent picture, whose Pix is to be given back.
func borrowRGBA(w, h int) *image.RGBA {
	pix := borrow(4 * w * h)
	clear(pix)
	return &image.RGBA{Pix: pix, Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
}
