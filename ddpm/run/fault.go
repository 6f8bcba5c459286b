package run

import "errors"

// A Fault is a row of the table of what can go wrong with a run. Whatever happens, the last checkpoint is whole.
type Fault struct {
	Name    string // in events
	What    string // what went wrong
	Does    string // what the program does then
	Exit    int    // exit code of the trainer; 0 where it goes on or ends in order
	Event   string // kind of the event that says it; "" where no trainer runs yet that could say it
	Message string // a part of the message that is always in it
}

// The faults. Faults lists them in the order of docs/architecture.md, which has the same table (a test compares).
var (
	FaultNotFinite = Fault{
		"not-finite", "NaN or Inf in loss or gradient", "the step changes no weights, the run stops at the state before it and saves that; the step is replayed to name the first operation with a bad value",
		3, KindEnd, "not a finite number",
	}
	FaultOverflow = Fault{
		"overflow", "overflow under loss scaling", "the step is skipped (weights, moments and averages stay, and the optimizer does not count it), the scale halved, and doubled again after 2000 good steps; when it falls below 2^-14 the run stops and saves, and the step is replayed to name the first operation with a bad value",
		12, KindLossScale, "the loss scale fell",
	}
	FaultDisk = Fault{
		"disk", "disk full, folder read-only", "training goes on and says so, the checkpoints before stay whole, it tries again; only the last checkpoint ends it, after an hour of trying (a minute after stop)",
		4, KindCheckpoint, "make room",
	}
	FaultDevice = Fault{
		"device", "device lost, or no answer from it in 10 minutes", "the run stops; resume goes on from the last checkpoint, also on another device",
		5, KindEnd, "the device failed",
	}
	FaultMemory = Fault{
		"memory", "not enough memory", "refused before step 1, with the plan and the batch that would fit",
		6, KindEnd, "not enough memory",
	}
	FaultBusy = Fault{
		"busy", "second trainer on a run", "refused, the first one's pid named",
		7, "", "is being trained by",
	}
	FaultStale = Fault{
		"stale-lock", "a trainer that was killed", "its lock is taken over, what it left half done is removed, and the run goes on from its last checkpoint",
		0, KindLog, "ended without a word",
	}
	FaultSignal = Fault{
		"signal", "SIGTERM, SIGHUP, Ctrl-C", "checkpoint, clean end; a detached trainer ignores SIGHUP",
		0, KindEnd, "",
	}
	FaultClock = Fault{
		"clock", "clock set, machine asleep, process stopped", "checkpoints and rates go by a clock that only runs forward; one long step hardly counts, so rate and time left recover within some steps",
		0, "", "",
	}
	FaultData = Fault{
		"data-changed", "images changed since the start", "refused on resume (names and sizes are compared), unless --allow-data-change is given",
		8, KindEnd, "--allow-data-change",
	}
	FaultNewer = Fault{
		"newer", "config, event log or checkpoint of a newer program", "refused, the version named",
		9, KindEnd, "use a newer ddpm-tui",
	}
	FaultRank = Fault{
		"rank", "a rank killed, its host gone, or it failed (more than one process)", "the job ends within seconds, the rank named; resume goes on from the last checkpoint, with any number of ranks",
		10, KindEnd, "the job cannot go on without it",
	}
	FaultDiffer = Fault{
		"ranks-differ", "a rank with other images, configuration or program", "refused before step 1, the rank and what differs named",
		11, KindEnd, "the ranks differ",
	}
	FaultDamage = Fault{
		"damaged", "damaged checkpoint", "named, the one before it is used",
		0, KindLog, "damaged",
	}
)

// Faults is the table.
func Faults() []*Fault {
	return []*Fault{
		&FaultNotFinite, &FaultOverflow, &FaultDisk, &FaultDevice, &FaultMemory, &FaultBusy, &FaultStale, &FaultSignal, &FaultClock,
		&FaultData, &FaultNewer, &FaultRank, &FaultDiffer, &FaultDamage,
	}
}

// FaultNamed is the fault of that name, nil if there is none.
func FaultNamed(name string) *Fault {
	for _, f := range Faults() {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// FaultOf is the fault that an error says it is, nil if it does not: the error has a method Fault.
func FaultOf(err error) *Fault {
	var f interface {
		error
		Fault() *Fault
	}
	if errors.As(err, &f) {
		return f.Fault()
	}
	return nil
}

// Fault implements what FaultOf looks for.
func (e *BusyError) Fault() *Fault { return &FaultBusy }

// Fault implements what FaultOf looks for.
func (e *NewerError) Fault() *Fault { return &FaultNewer }

// A DiskError is a checkpoint that could not be written, and without which the run must not end.
type DiskError struct{ Err error }

func (e *DiskError) Error() string {
	return "make room, or make the folder writable, then resume the run, which goes on from the checkpoint before: " + e.Err.Error()
}
func (e *DiskError) Unwrap() error { return e.Err }

// Fault implements what FaultOf looks for.
func (e *DiskError) Fault() *Fault { return &FaultDisk }

// An EndError is how a run ended, as its log says.
type EndError struct{ End *End }

func (e *EndError) Error() string { return e.End.Error }

// Fault implements what FaultOf looks for.
func (e *EndError) Fault() *Fault { return FaultNamed(e.End.Fault) }
