package data

import (
	"bytes"
	"encoding/binary"
)

// orientation returns the EXIF orientation of a picture file, 1 to 8; 1 (upright) where there is none or it is broken.
// It looks in a JPEG's APP1, a PNG's eXIf, a WebP's EXIF chunk and a TIFF's own directory.
func orientation(k kind, file []byte) int {
	switch k {
	case jpegFile:
		return jpegOrientation(file)
	case pngFile:
		return tiffOrientation(pngChunk(file, "eXIf"))
	case webpFile:
		// Some writers keep the prefix that only JPEG needs.
		return tiffOrientation(bytes.TrimPrefix(riffChunk(file, "EXIF"), []byte("Exif\x00\x00")))
	case tiffFile:
		return tiffOrientation(file)
	}
	return 1
}

// jpegOrientation walks the segments up to the first scan.
func jpegOrientation(p []byte) int {
	for i := 2; i+4 <= len(p) && p[i] == 0xff; {
		marker := p[i+1]
		if marker == 0xff { // fill byte
			i++
			continue
		}
		if marker == 0xda || marker == 0xd9 {
			break
		}
		n := int(binary.BigEndian.Uint16(p[i+2:]))
		if n < 2 || i+2+n > len(p) {
			break
		}
		body := p[i+4 : i+2+n]
		if marker == 0xe1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")) {
			return tiffOrientation(body[6:])
		}
		i += 2 + n
	}
	return 1
}

// pngChunk returns the body of the first chunk of a type, nil if there is none.
func pngChunk(p []byte, name string) []byte {
	for i := 8; i+12 <= len(p); {
		n := int64(binary.BigEndian.Uint32(p[i:]))
		end := int64(i) + 12 + n
		if end > int64(len(p)) {
			return nil
		}
		if string(p[i+4:i+8]) == name {
			return p[i+8 : end-4]
		}
		i = int(end)
	}
	return nil
}

// riffChunk returns the body of the first top-level chunk of a type in a WebP file, nil if there is none.
func riffChunk(p []byte, name string) []byte {
	if len(p) < 12 {
		return nil
	}
	return subChunk(p[12:], name)
}

// subChunk is riffChunk for a bare run of chunks.
func subChunk(p []byte, name string) []byte {
	for len(p) >= 8 {
		n := int64(binary.LittleEndian.Uint32(p[4:]))
		if 8+n > int64(len(p)) {
			return nil
		}
		if string(p[:4]) == name {
			return p[8 : 8+n]
		}
		p = p[min(8+n+n&1, int64(len(p))):] // bodies are padded to even lengths
	}
	return nil
}

// tiffOrientation reads tag 0x0112 of the first directory.
func tiffOrientation(p []byte) int {
	if v, ok := tiffTag(p, 0x0112); ok && v >= 1 && v <= 8 {
		return int(v)
	}
	return 1
}

// tiffTag returns the first value of a SHORT or LONG tag in the first directory of a TIFF file.
func tiffTag(p []byte, tag uint16) (uint32, bool) {
	if len(p) < 8 {
		return 0, false
	}
	var order binary.ByteOrder
	switch string(p[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0, false
	}
	at := int64(order.Uint32(p[4:]))
	if at+2 > int64(len(p)) {
		return 0, false
	}
	n := int(order.Uint16(p[at:]))
	for e := at + 2; n > 0 && e+12 <= int64(len(p)); e, n = e+12, n-1 {
		if order.Uint16(p[e:]) != tag {
			continue
		}
		count, value := int64(order.Uint32(p[e+4:])), p[e+8:e+12]
		size := int64(4)
		if order.Uint16(p[e+2:]) == 3 {
			size = 2
		}
		if count*size > 4 { // the values live elsewhere
			at := int64(order.Uint32(value))
			if at+size > int64(len(p)) {
				return 0, false
			}
			value = p[at:]
		}
		switch order.Uint16(p[e+2:]) {
		case 3:
			return uint32(order.Uint16(value)), true
		case 4:
			return order.Uint32(value), true
		}
		return 0, false
	}
	return 0, false
}

// flipsX and flipsY say along which axes of the stored picture an orientation runs backwards.
func flipsX(o int) bool { return o == 2 || o == 3 || o == 7 || o == 8 }
func flipsY(o int) bool { return o == 3 || o == 4 || o == 6 || o == 7 }
func swaps(o int) bool  { return o >= 5 }

// upright turns a stored square picture [S,S,3] into the one that is shown.
func upright(rgb []byte, s, o int) []byte {
	if o <= 1 || o > 8 {
		return rgb
	}
	out := make([]byte, len(rgb))
	for y := range s {
		for x := range s {
			sx, sy := x, y
			if swaps(o) {
				sx, sy = y, x
			}
			if flipsX(o) {
				sx = s - 1 - sx
			}
			if flipsY(o) {
				sy = s - 1 - sy
			}
			copy(out[(y*s+x)*3:], rgb[(sy*s+sx)*3:(sy*s+sx)*3+3])
		}
	}
	return out
}
