package data

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// kind is what a file is by its first bytes.
type kind uint8

const (
	unknown kind = iota
	pngFile
	jpegFile
	gifFile
	bmpFile
	tiffFile
	webpFile
	idxImages // MNIST: magic 0x00000803, N, H, W
	idxLabels // MNIST: magic 0x00000801, N
	cifarFile // CIFAR-10: records of a label and 3,072 bytes; it has no magic
	gzipFile
	zipFile
	tarFile
)

var kindNames = [...]string{
	pngFile: "PNG", jpegFile: "JPEG", gifFile: "GIF", bmpFile: "BMP", tiffFile: "TIFF", webpFile: "WebP",
	idxImages: "idx", cifarFile: "CIFAR-10",
}

func (k kind) picture() bool { return k >= pngFile && k <= webpFile }

// sniffBytes is how much of a file sniff wants to see: 16 CIFAR records.
const sniffBytes = 16 * cifarRecord

// sniff decides by content. size is the length of the file, -1 where it is not known; name only breaks the tie for
// CIFAR files too short to tell from noise.
func sniff(head []byte, size int64, name string) kind {
	has := func(at int, s string) bool {
		return len(head) >= at+len(s) && string(head[at:at+len(s)]) == s
	}
	switch {
	case has(0, "\x89PNG\r\n\x1a\n"):
		return pngFile
	case has(0, "\xff\xd8\xff"):
		return jpegFile
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return gifFile
	case has(0, "II*\x00"), has(0, "MM\x00*"):
		return tiffFile
	case has(0, "RIFF") && has(8, "WEBP"):
		return webpFile
	case has(0, "BM") && has(6, "\x00\x00\x00\x00"): // the reserved fields keep text that starts with BM out
		return bmpFile
	case has(0, "\x00\x00\x08\x03"):
		return idxImages
	case has(0, "\x00\x00\x08\x01"):
		return idxLabels
	case has(0, "\x1f\x8b\x08"):
		return gzipFile
	case has(0, "PK\x03\x04"), has(0, "PK\x05\x06"):
		return zipFile
	case looksCIFAR(head, size, name):
		return cifarFile
	case looksTar(head):
		return tarFile
	}
	return unknown
}

// looksTar asks the tar reader, which verifies the header's checksum.
func looksTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	empty := make([]byte, 512)
	if bytes.Equal(head[:512], empty) {
		return false
	}
	_, err := tar.NewReader(io.LimitReader(bytes.NewReader(head), 512)).Next()
	// A long name or a PAX record needs more than one block: the checksum held, the reader then wanted more.
	return err == nil || err == io.ErrUnexpectedEOF && strings.ContainsRune("xgLK", rune(head[156]))
}

// foreign names what a file is when no decoder reads it, so that the reason says what to do.
func foreign(head []byte) error {
	has := func(at int, s string) bool {
		return len(head) >= at+len(s) && string(head[at:at+len(s)]) == s
	}
	const convert = " is not read: convert it to PNG or JPEG"
	text := strings.ToLower(string(head[:min(len(head), 512)]))
	switch {
	case len(head) == 0:
		return errEmpty
	case has(4, "ftypavif"), has(4, "ftypavis"):
		return skipf("AVIF%s", convert)
	case has(4, "ftyphei"), has(4, "ftyphev"), has(4, "ftypmif1"), has(4, "ftypmsf1"):
		return skipf("HEIC%s", convert)
	case has(0, "\xff\x0a"), has(4, "JXL \r\n\x87\n"):
		return skipf("JPEG XL%s", convert)
	case has(4, "jP  \r\n\x87\n"), has(0, "\xff\x4f\xff\x51"):
		return skipf("JPEG 2000%s", convert)
	case has(0, "8BPS"):
		return skipf("Photoshop%s", convert)
	case has(0, "\x00\x00\x01\x00"):
		return skipf("ICO%s", convert)
	case has(0, "%PDF"):
		return skipf("PDF%s", convert)
	case has(0, "7z\xbc\xaf\x27\x1c"), has(0, "Rar!"), has(0, "\xfd7zXZ\x00"), has(0, "BZh"), has(0, "(\xb5/\xfd"):
		return skipf("an archive that is not read: unpack it, or make it a zip or a tar.gz")
	case strings.Contains(text, "<svg"):
		return skipf("SVG%s", convert)
	case strings.Contains(text, "<html"), strings.Contains(text, "<!doctype html"):
		return skipf("not a picture: a web page")
	case looksText(head):
		return skipf("not a picture: text")
	}
	return skipf("not a picture: no known format in its first bytes")
}

func looksText(head []byte) bool {
	head = head[:min(len(head), 512)]
	for i, c := range head {
		if c == 0 {
			return false
		}
		if c >= 0x80 && !utf8.RuneStart(c) && i == 0 {
			return false
		}
	}
	for cut := 0; cut < 4 && cut < len(head); cut++ { // the sample may end inside a rune
		if utf8.Valid(head[:len(head)-cut]) {
			return true
		}
	}
	return false
}
