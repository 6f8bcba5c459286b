package data

import (
	"bytes"
	"encoding/binary"
	"image/color"
	"reflect"
	"strings"
	"testing"
)

// cifarBatch is n records; picture i is flat with red i, green 2i, blue seed, and label i%10.
func cifarBatch(n, seed int) []byte {
	var p []byte
	for i := range n {
		p = append(p, byte(i%10))
		for _, v := range []int{i, 2 * i, seed} {
			p = append(p, bytes.Repeat([]byte{byte(v)}, 1024)...)
		}
	}
	return p
}

func TestCIFAR(t *testing.T) {
	content := map[string][]byte{
		"cifar-10-batches-bin/data_batch_1.bin": cifarBatch(700, 1), "cifar-10-batches-bin/data_batch_2.bin": cifarBatch(20, 2),
		"cifar-10-batches-bin/test_batch.bin": cifarBatch(20, 3), "cifar-10-batches-bin/batches.meta.txt": []byte("airplane\n"),
		"cifar-10-batches-bin/readme.html": []byte("<html>"),
	}
	for _, p := range []string{files(t, content), file(t, "cifar-10-binary.tar.gz", gz(t, tarOf(t, content))), file(t, "a.zip", zipOf(t, content))} {
		s := mustLoad(t, p, Options{})
		if s.N != 720 || s.Size != 32 || s.Channels != 3 {
			t.Fatalf("%d pictures of %dx%dx%d", s.N, s.Size, s.Size, s.Channels)
		}
		if s.SkippedTotal != 1 || !strings.Contains(s.Skipped[0].String(), "test_batch.bin: test images, kept out") {
			t.Errorf("skipped: %s", skipped(s))
		}
		if !reflect.DeepEqual(s.Classes, cifarClasses) || s.Labels[13] != 3 || s.Labels[705] != 5 {
			t.Errorf("labels %v %d %d", s.Classes, s.Labels[13], s.Labels[705])
		}
		if c := s.Image(100).RGBAAt(5, 9); c != (color.RGBA{100, 200, 1, 255}) {
			t.Errorf("picture 100 is %v", c)
		}
		if c := s.Image(705).RGBAAt(31, 31); c != (color.RGBA{5, 10, 2, 255}) {
			t.Errorf("picture 705 is %v", c)
		}
		if !strings.HasSuffix(s.File(699), "1.bin") || !strings.HasSuffix(s.File(700), "2.bin") {
			t.Errorf("files %s and %s", s.File(699), s.File(700))
		}
		if half := mustLoad(t, p, Options{Size: 16, MaxImages: 705}); half.N != 705 || half.Bytes(704)[2] != 2 || len(half.Labels) != 705 {
			t.Errorf("%d pictures of %d, labels %d", half.N, half.Size, len(half.Labels))
		}
	}
	if s := mustLoad(t, file(t, "test_batch.bin", cifarBatch(20, 3)), Options{}); s.N != 20 {
		t.Errorf("the test batch by itself: %d pictures", s.N)
	}
}

func TestCIFARPlanes(t *testing.T) {
	rec := append([]byte{7}, noise(3072, 5)...)
	s := mustLoad(t, file(t, "one.bin", rec), Options{})
	for i := range 1024 {
		for c := range 3 {
			if s.Pixels[3*i+c] != rec[1+c*1024+i] {
				t.Fatalf("pixel %d, plane %d", i, c)
			}
		}
	}
}

func TestBrokenCIFAR(t *testing.T) {
	p := cifarBatch(40, 1)
	p[30*cifarRecord] = 77
	if why := reasonOf(t, "a.bin", p); !strings.Contains(why, "record 30 has label 77") {
		t.Error(why)
	}
	if why := reasonOf(t, "a.bin", cifarBatch(20, 1)[:9000]); why == "" {
		t.Error("half a record was read")
	}
	if why := reasonOf(t, "zeros", make([]byte, 20*cifarRecord)); why == "" {
		t.Error("a file of zeros was read as CIFAR-10")
	}
}

func idxImagesOf(n, h, w int) []byte {
	p := []byte{0, 0, 8, 3}
	for _, v := range []int{n, h, w} {
		p = binary.BigEndian.AppendUint32(p, uint32(v))
	}
	for i := range n * h * w {
		p = append(p, byte(i/(h*w)+i%(h*w)/w))
	}
	return p
}

func idxLabelsOf(n int) []byte {
	p := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 1}, uint32(n))
	for i := range n {
		p = append(p, byte(i%10))
	}
	return p
}

func TestMNIST(t *testing.T) {
	images, labels := idxImagesOf(600, 28, 28), idxLabelsOf(600)
	for _, content := range []map[string][]byte{
		{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels},
		{"train-images-idx3-ubyte.gz": gz(t, images), "train-labels-idx1-ubyte.gz": gz(t, labels)},
		{"MNIST/raw/train-images.idx3-ubyte": images, "MNIST/raw/train-labels.idx1-ubyte": labels,
			"MNIST/raw/t10k-images.idx3-ubyte": idxImagesOf(5, 28, 28), "MNIST/raw/t10k-labels.idx1-ubyte": idxLabelsOf(5)},
	} {
		for _, p := range []string{files(t, content), file(t, "a.zip", zipOf(t, content))} {
			s := mustLoad(t, p, Options{})
			if s.N != 600 || s.Size != 28 || s.SkippedTotal > 1 {
				t.Fatalf("%d pictures of %d, skipped: %s", s.N, s.Size, skipped(s))
			}
			if c := s.Image(123).RGBAAt(20, 7); c != (color.RGBA{130, 130, 130, 255}) {
				t.Errorf("picture 123 is %v", c)
			}
			if len(s.Labels) != 600 || s.Labels[123] != 3 || s.Classes[9] != "9" {
				t.Errorf("labels: %d, %v", len(s.Labels), s.Classes)
			}
			grey := mustLoad(t, p, Options{Channels: 1})
			if !bytes.Equal(grey.Pixels, images[16:]) {
				t.Error("grey pictures are not the bytes of the file")
			}
		}
	}
	s := mustLoad(t, file(t, "digits", images), Options{}) // no labels beside it
	if s.N != 600 || s.Labels != nil {
		t.Errorf("%d pictures, %d labels", s.N, len(s.Labels))
	}
}

func TestIDXCropsToTheCentre(t *testing.T) {
	s := mustLoad(t, file(t, "a", idxImagesOf(2, 24, 16)), Options{Channels: 1})
	if s.Size != 16 || s.Pixels[0] != 4 || s.Sources[0] != (SizeCount{16, 24, 2}) {
		t.Errorf("side %d, first row %d, sizes %v", s.Size, s.Pixels[0], s.Sources)
	}
}

func TestBrokenIDX(t *testing.T) {
	whole := idxImagesOf(10, 28, 28)
	for name, p := range map[string][]byte{
		"cut":    whole[:5000],
		"cut.gz": gz(t, whole[:5000]),
		"header": whole[:10],
		"huge":   append([]byte{0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255}, whole...),
		"many":   append([]byte{0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 1}, whole...),
		"zero":   append([]byte{0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1}, whole...),
	} {
		if why := reasonOf(t, name, p); why == "" {
			t.Errorf("%s was read", name)
		}
	}
	// A file that is broken after its first slab leaves none of it behind.
	s := mustLoad(t, files(t, map[string][]byte{"a.gz": gz(t, idxImagesOf(1200, 28, 28)[:700*784]), "b.png": pngOf(t, pattern(28, 28))}), Options{})
	if s.N != 1 || s.File(0) != "b.png" || s.SkippedTotal != 1 {
		t.Errorf("%d pictures, skipped: %s", s.N, skipped(s))
	}
}
