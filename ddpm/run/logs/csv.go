package logs

import (
	"bufio"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Columns are the columns of the CSV file. A row is a step or an evaluation; what it does not know is empty.
var Columns = []string{
	"time", "step", "loss", "loss_ema", "lr", "grad_norm", "clipped", "images_per_s", "ema_decay", "metric", "value", "err", "n",
}

// csvFile writes steps and evaluations as rows.
type csvFile struct {
	f *os.File
	b *bufio.Writer
	w *csv.Writer
}

// NewCSV makes or replaces a CSV file.
func NewCSV(path string) (Sink, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	b := bufio.NewWriter(f)
	c := &csvFile{f, b, csv.NewWriter(b)}
	return c, c.row(Columns)
}

func (c *csvFile) row(r []string) error {
	if err := c.w.Write(r); err != nil {
		return err
	}
	c.w.Flush()
	return errors.Join(c.w.Error(), c.b.Flush())
}

func number(v run.Float) string {
	if math.IsNaN(float64(v)) {
		return ""
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 64)
}

func (c *csvFile) Write(e run.Event) error {
	r := make([]string, len(Columns))
	r[0], r[1] = e.Time.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano), strconv.FormatInt(e.Step, 10)
	switch {
	case e.Metrics != nil:
		m := e.Metrics
		r[2], r[3], r[4], r[5] = number(m.Loss), number(m.LossEMA), number(m.LR), number(m.GradNorm)
		r[6], r[7], r[8] = strconv.FormatBool(m.Clipped), number(m.ImagesPerS), number(m.EMADecay)
	case e.Eval != nil:
		r[9], r[10], r[11], r[12] = e.Eval.Metric, number(e.Eval.Value), number(e.Eval.Err), strconv.Itoa(e.Eval.N)
	default:
		return nil
	}
	return c.row(r)
}

func (c *csvFile) Close() error {
	c.w.Flush()
	return errors.Join(c.w.Error(), c.b.Flush(), c.f.Close())
}
