// Package window shows the previews of a run at full size in a window of a local desktop. It is only in builds with the tag window,
// which need the headers of the window system (see make window); the others say so.
package window

import (
	"errors"
	"image"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotBuilt says which build has a window.
var ErrNotBuilt = errors.New("this build has no window: make window makes one that has (it needs a C compiler and the headers of X11; on Debian and Ubuntu: apt install libx11-dev libxrandr-dev libxinerama-dev libxcursor-dev libxi-dev libxxf86vm-dev libgl1-mesa-dev)")

// previews are the sample grids in a folder, the oldest first.
func previews(dir string) []string {
	list, err := filepath.Glob(filepath.Join(dir, "step-*.png"))
	if err != nil {
		return nil // the pattern is right
	}
	list = slices.DeleteFunc(list, func(name string) bool { return strings.Count(filepath.Base(name), "-") != 1 }) // trajectories
	slices.Sort(list)
	return list
}

// fit draws a picture in the middle of w x h pixels of 4 bytes, as large as it fits, each of its pixels a square of whole pixels where
// there is room for that. bgr swaps red and blue.
func fit(dst []byte, w, h int, m *image.RGBA, bgr bool) {
	for i := range dst {
		dst[i] = 24
		if i%4 == 3 {
			dst[i] = 255
		}
	}
	if m == nil {
		return
	}
	mw, mh := m.Bounds().Dx(), m.Bounds().Dy()
	ow, oh := mw*min(w/mw, h/mh), mh*min(w/mw, h/mh)
	if ow == 0 { // smaller than the picture
		if ow, oh = w, w*mh/mw; oh > h {
			ow, oh = h*mw/mh, h
		}
	}
	x0, y0 := (w-ow)/2, (h-oh)/2
	for y := range oh {
		row := m.Pix[y*mh/oh*m.Stride:]
		to := dst[((y0+y)*w+x0)*4:]
		for x := range ow {
			p := row[x*mw/ow*4:]
			if bgr {
				to[4*x], to[4*x+1], to[4*x+2] = p[2], p[1], p[0]
			} else {
				copy(to[4*x:4*x+3], p)
			}
		}
	}
}
