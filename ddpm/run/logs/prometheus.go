package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A Prometheus serves the last numbers of a run in the text format that Prometheus reads, at /metrics.
type Prometheus struct {
	mu      sync.Mutex
	start   run.Start
	step    int64
	last    *run.Metrics
	evals   map[string]run.Eval
	state   string
	faults  int
	server  *http.Server
	address string
}

// Serve listens on a loopback address, such as 127.0.0.1:9100 or localhost:0.
func Serve(address string) (*Prometheus, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address %q: want HOST:PORT, such as 127.0.0.1:9100", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the address %q is not of this machine alone: want 127.0.0.1, [::1] or localhost and a port; a scraper elsewhere can come through ssh -L", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the address %q: %w", address, err)
	}
	p := &Prometheus{evals: map[string]run.Eval{}, address: l.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = p.text(w) // who asked has gone
	})
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = p.server.Serve(l) }() // until Close
	return p, nil
}

// Address is where it listens.
func (p *Prometheus) Address() string { return p.address }

// Write takes an event.
func (p *Prometheus) Write(e run.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = e.Step
	switch {
	case e.Start != nil:
		p.start = *e.Start
	case e.Metrics != nil:
		p.last = e.Metrics
	case e.Eval != nil:
		p.evals[e.Eval.Metric] = *e.Eval
	case e.State != nil:
		p.state = e.State.Name
	case e.Log != nil && e.Log.Fault != "":
		p.faults++
	}
	return nil
}

// Close stops serving.
func (p *Prometheus) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return p.server.Close()
}

// text writes all that is known.
func (p *Prometheus) text(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	gauge := func(name, help string, v float64, labels string) {
		fmt.Fprintf(&b, "# HELP ddpm_%s %s\n# TYPE ddpm_%s gauge\nddpm_%s{run=\"%s\"%s} %s\n", name, help, name, name, escape(p.start.Name), labels, value(v))
	}
	gauge("step", "Optimizer steps done.", float64(p.step), "")
	gauge("steps", "Optimizer steps aimed at.", float64(p.start.Steps), "")
	running := 0.0
	if p.state == "running" {
		running = 1
	}
	gauge("running", "1 while steps are being done.", running, fmt.Sprintf(",state=\"%s\"", escape(p.state)))
	gauge("faults", "Faults that the training outlived, since the trainer began.", float64(p.faults), "")
	if m := p.last; m != nil {
		gauge("loss", "Loss of the last step.", float64(m.Loss), "")
		gauge("loss_average", "Moving average of the loss.", float64(m.LossEMA), "")
		gauge("learning_rate", "Learning rate.", float64(m.LR), "")
		gauge("gradient_norm", "Global gradient norm before clipping.", float64(m.GradNorm), "")
		gauge("images_per_second", "Images a second.", float64(m.ImagesPerS), "")
		gauge("step_seconds", "Seconds a step.", float64(m.StepS), "")
		gauge("eta_seconds", "Seconds left.", float64(m.ETAS), "")
	}
	for i, part := range []struct{ name, help string }{{"eval", "Metrics of the last evaluation."}, {"eval_error", "Their standard errors."}} {
		if len(p.evals) == 0 {
			break
		}
		fmt.Fprintf(&b, "# HELP ddpm_%s %s\n# TYPE ddpm_%s gauge\n", part.name, part.help, part.name)
		for metric, r := range p.evals {
			v := r.Value
			if i == 1 {
				v = r.Err
			}
			fmt.Fprintf(&b, "ddpm_%s{run=\"%s\",metric=\"%s\"} %s\n", part.name, escape(p.start.Name), escape(metric), value(float64(v)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func value(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return fmt.Sprintf("%g", v)
}

// escape is for a label's value.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}
