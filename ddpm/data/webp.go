package data

import (
	"bytes"
	"encoding/binary"
	"image"

	"golang.org/x/image/webp"
)

// firstFrame rebuilds the first frame of an animated WebP as a still one, because the decoder reads only those. It
// returns the frame's place on the canvas, and animated false for a still picture.
func firstFrame(file []byte, lim limits) (still []byte, at image.Point, animated bool, err error) {
	vp8x := riffChunk(file, "VP8X")
	if len(vp8x) < 10 || vp8x[0]&0x02 == 0 {
		return nil, at, false, nil
	}
	anmf := riffChunk(file, "ANMF")
	if len(anmf) < 16 {
		return nil, at, false, skipf("cut short: an animation without a first frame")
	}
	at = image.Pt(2*int(u24(anmf)), 2*int(u24(anmf[3:])))
	w, h := int(u24(anmf[6:]))+1, int(u24(anmf[9:]))+1
	canvas := image.Rect(0, 0, int(u24(vp8x[4:]))+1, int(u24(vp8x[7:]))+1)
	if !image.Rect(0, 0, w, h).Add(at).In(canvas) {
		return nil, at, false, skipf("corrupt: the first frame lies outside the picture")
	}
	body := anmf[16:]
	var b bytes.Buffer
	b.WriteString("RIFF\x00\x00\x00\x00WEBP")
	if lossless := subChunk(body, "VP8L"); lossless != nil {
		writeChunk(&b, "VP8L", lossless)
	} else {
		lossy, alpha := subChunk(body, "VP8 "), subChunk(body, "ALPH")
		if lossy == nil {
			return nil, at, false, skipf("cut short: an animation without a first frame")
		}
		if alpha != nil {
			head := make([]byte, 10)
			head[0] = 0x10 // has alpha
			copy(head[4:], anmf[6:12])
			writeChunk(&b, "VP8X", head)
			writeChunk(&b, "ALPH", alpha)
		}
		writeChunk(&b, "VP8 ", lossy)
	}
	still = b.Bytes()
	binary.LittleEndian.PutUint32(still[4:], uint32(len(still)-8))
	// The frame has a size of its own inside: it must be the one the canvas check was about.
	cfg, err := webp.DecodeConfig(bytes.NewReader(still))
	if err != nil {
		return nil, at, false, err
	}
	if cfg.Width != w || cfg.Height != h {
		return nil, at, false, skipf("corrupt: the first frame says %dx%d and holds %dx%d pixels", w, h, cfg.Width, cfg.Height)
	}
	return still, at, true, checkSize(w, h, lim)
}

func u24(p []byte) uint32 { return uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 }

func writeChunk(b *bytes.Buffer, name string, body []byte) {
	b.WriteString(name)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(body))))
	b.Write(body)
	if len(body)%2 == 1 {
		b.WriteByte(0)
	}
}

// A lossy WebP holds brightness as video does, from 16 to 235. The decoder hands it out as an image.YCbCr, which means
// JPEG's 0 to 255: taken at its word, black is dark grey and the picture washed out.
type videoYCbCr struct {
	*image.YCbCr
	alpha func(x, y int) uint32 // nil if opaque
}

func videoRange(m image.Image) image.Image {
	switch m := m.(type) {
	case *image.YCbCr:
		return &videoYCbCr{YCbCr: m}
	case *image.NYCbCrA:
		return &videoYCbCr{&m.YCbCr, func(x, y int) uint32 { return uint32(m.A[m.AOffset(x, y)]) }}
	}
	return m
}

// rgb is libwebp's conversion, in its fixed point of 14 bits.
func (v *videoYCbCr) rgb(x, y int) (r, g, b uint32) {
	c := v.COffset(x, y)
	luma, cb, cr := 19077*int(v.Y[v.YOffset(x, y)])>>8, int(v.Cb[c]), int(v.Cr[c])
	clip := func(n int) uint32 { return uint32(min(255, max(0, n>>6))) }
	return clip(luma + 26149*cr>>8 - 14234),
		clip(luma - 6419*cb>>8 - 13320*cr>>8 + 8708),
		clip(luma + 33050*cb>>8 - 17685)
}
