package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// boardName is the one event file that is written: TensorBoard looks for "tfevents" in the name, and the number is a time.
const boardName = "events.out.tfevents.0000000000.ddpm-tui"

// board writes TensorBoard's event files: records of protocol buffers.
type board struct {
	f   *os.File
	run string // the folder that pictures are named in
}

// NewBoard makes or replaces the event file in dir; runDir is the run's folder.
func NewBoard(dir, runDir string) (Sink, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, boardName))
	if err != nil {
		return nil, err
	}
	b := &board{f, runDir}
	var version message
	version.double(1, float64(time.Now().UnixNano())/1e9)
	version.bytes(3, []byte("brain.Event:2"))
	return b, b.record(version)
}

// record appends a record: its length, the length's check, the data, the data's check.
func (b *board) record(data []byte) error {
	var r []byte
	r = binary.LittleEndian.AppendUint64(r, uint64(len(data)))
	r = binary.LittleEndian.AppendUint32(r, masked(r))
	r = append(r, data...)
	r = binary.LittleEndian.AppendUint32(r, masked(data))
	_, err := b.f.Write(r)
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the CRC-32C as TFRecord has it: turned by 15 bits, plus a constant, so that a check of data with checks in it is none.
func masked(p []byte) uint32 {
	c := crc32.Checksum(p, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// A message is a protocol buffer in the making.
type message []byte

func (m *message) tag(field, kind int) {
	*m = binary.AppendUvarint(*m, uint64(field<<3|kind))
}

func (m *message) varint(field int, v int64) {
	m.tag(field, 0)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) double(field int, v float64) {
	m.tag(field, 1)
	*m = binary.LittleEndian.AppendUint64(*m, math.Float64bits(v))
}

func (m *message) bytes(field int, p []byte) {
	m.tag(field, 2)
	*m = append(binary.AppendUvarint(*m, uint64(len(p))), p...)
}

func (m *message) float(field int, v float32) {
	m.tag(field, 5)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
}

// scalar is a Summary.Value with a number.
func scalar(tag string, v float64) message {
	var m message
	m.bytes(1, []byte(tag))
	m.float(2, float32(v))
	return m
}

// Write turns an event into scalars under "train/" and "eval/", and previews and pairs into images.
func (b *board) Write(e run.Event) error {
	var values []message
	switch {
	case e.Metrics != nil:
		m := e.Metrics
		for _, v := range []struct {
			tag string
			v   run.Float
		}{{"loss", m.Loss}, {"loss_average", m.LossEMA}, {"learning_rate", m.LR}, {"gradient_norm", m.GradNorm}, {"images_per_second", m.ImagesPerS}, {"ema_decay", m.EMADecay}} {
			if !math.IsNaN(float64(v.v)) {
				values = append(values, scalar("train/"+v.tag, float64(v.v)))
			}
		}
		for i, v := range m.Buckets {
			if !math.IsNaN(float64(v)) {
				values = append(values, scalar(fmt.Sprintf("train_loss_by_t/%02d", i), float64(v)))
			}
		}
	case e.Eval != nil:
		r := e.Eval
		values = append(values, scalar("eval/"+r.Metric, float64(r.Value)))
		if !math.IsNaN(float64(r.Err)) {
			values = append(values, scalar("eval_error/"+r.Metric, float64(r.Err)))
		}
		if r.File != "" {
			values = append(values, b.image("eval/"+r.Metric, r.File)...)
		}
	case e.Preview != nil:
		values = append(values, b.image("samples", e.Preview.Samples)...)
		values = append(values, b.image("trajectory", e.Preview.Trajectory)...)
	}
	if len(values) == 0 {
		return nil
	}
	var summary, event message
	for _, v := range values {
		summary.bytes(1, v)
	}
	event.double(1, float64(e.Time.UnixNano())/1e9)
	event.varint(2, e.Step)
	event.bytes(5, summary)
	return b.record(event)
}

// image is a Summary.Value with a PNG of the run's folder; nothing if it is not there any more.
func (b *board) image(tag, name string) []message {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil
	}
	path := filepath.Join(b.run, filepath.FromSlash(name))
	p, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	config, err := png.DecodeConfig(f)
	if errors.Join(err, f.Close()) != nil {
		return nil
	}
	var picture, value message
	picture.varint(1, int64(config.Height))
	picture.varint(2, int64(config.Width))
	picture.varint(3, 3) // RGB
	picture.bytes(4, p)
	value.bytes(1, []byte(tag))
	value.bytes(4, picture)
	return []message{value}
}

func (b *board) Close() error { return b.f.Close() }
