package train

import (
	"fmt"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A journal says what happens: to the event log, and to who listens in this process.
type journal struct {
	log     *run.EventLog
	o       *Options
	done    *int64 // steps done; nil before there is a step
	state   string
	started time.Time
	lost    int // events since the log could not be written
}

// emit logs an event and hands it on. A full disk must not stop the training: it is said to who listens, and tried again with the
// next event; once there is room the log says how much it lacks.
func (j *journal) emit(e run.Event) {
	e = j.stamp(e)
	if err := j.append(e); err != nil {
		if j.lost++; j.lost == 1 {
			j.hand(run.Event{V: e.V, Kind: run.KindLog, Time: e.Time, Step: e.Step, Log: &run.Log{
				Level: "error", Fault: run.FaultDisk.Name, Text: fmt.Sprintf("make room, or make the folder writable: training goes on, but the event log cannot be written: %v", err),
			}}, true)
		}
		j.hand(e, true)
		return
	}
	j.hand(e, false)
}

// record logs an event that must not be lost, and forces it to the disk; if that fails it did not happen.
func (j *journal) record(e run.Event) error {
	e = j.stamp(e)
	if err := j.append(e); err != nil {
		return err
	}
	j.hand(e, false)
	return j.log.Sync()
}

// stamp gives an event its version, time and step.
func (j *journal) stamp(e run.Event) run.Event {
	e.V, e.Time = run.EventVersion, time.Now()
	if j.done != nil {
		e.Step = *j.done
	}
	return e
}

// append logs an event, after what there is to say of events that were lost.
func (j *journal) append(e run.Event) error {
	if j.lost > 0 {
		said := run.Event{V: e.V, Kind: run.KindLog, Time: e.Time, Step: e.Step, Log: &run.Log{
			Level: "warn", Fault: run.FaultDisk.Name, Text: fmt.Sprintf("the event log can be written again; %d events before this one are lost", j.lost),
		}}
		if err := j.log.Append(said); err != nil {
			return err
		}
		j.lost = 0
		j.hand(said, false)
	}
	return j.log.Append(e)
}

func (j *journal) hand(e run.Event, lost bool) {
	if j.o.OnEvent != nil {
		j.o.OnEvent(e)
	}
	if lost && j.o.OnLost != nil {
		j.o.OnLost(e)
	}
}

func (j *journal) logf(level, format string, a ...any) {
	j.emit(run.Event{Kind: run.KindLog, Log: &run.Log{Level: level, Text: fmt.Sprintf(format, a...)}})
}

// logFault says that a fault was met that the training outlives.
func (j *journal) logFault(f *run.Fault, level, format string, a ...any) {
	j.emit(run.Event{Kind: run.KindLog, Log: &run.Log{Level: level, Fault: f.Name, Text: fmt.Sprintf(format, a...)}})
}

func (j *journal) setState(s string) {
	if s != j.state {
		j.state = s
		j.emit(run.Event{Kind: run.KindState, State: &run.State{Name: s}})
	}
}

// end emits the last two events: how it ended.
func (j *journal) end(reason string, err error, loss float64) {
	end := &run.End{Reason: reason, Loss: run.Float(loss), Seconds: run.Float(time.Since(j.started).Seconds())}
	if reason == run.Failed {
		end.Error = err.Error()
		if f := run.FaultOf(err); f != nil {
			end.Fault = f.Name
		}
	}
	j.setState(reason)
	j.emit(run.Event{Kind: run.KindEnd, End: end})
}
