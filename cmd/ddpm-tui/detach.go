package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// A detached trainer is this program again, in a session of its own, so that neither the end of the terminal nor that of the screen
// reaches it. It says on file descriptor 3 that it has the run and listens, or why it has not; from then on all it has to say is in
// the run's log. What it prints goes to trainer.log.

// detachedFlag marks the trainer.
const detachedFlag = "detached"

// readyFile is the file descriptor that the trainer says it on.
const readyFile = 3

// startPatience is how long the trainer may take until it says something.
const startPatience = 30 * time.Second

// ready is what the trainer says.
type ready struct {
	Error string `json:"error,omitempty"`
	Code  int    `json:"code,omitempty"` // exit code
}

// A codedError is an error of another process of ours, with its exit code.
type codedError struct {
	text string
	code int
}

func (e *codedError) Error() string { return e.text }

// detach starts a trainer of the run and attaches a screen to it.
func (j *job) detach(c *cobra.Command, folder *run.Folder) error {
	if err := j.spawn(c, folder); err != nil {
		if j.created {
			err = errors.Join(err, discard(folder))
		}
		return err
	}
	err := showAttached(c, folder, socket.Take)
	var end *run.EndError
	if j.created && errors.As(err, &end) {
		err = errors.Join(err, discard(folder))
	}
	return err
}

// discard removes a run without a checkpoint, if nobody trains it.
func discard(folder *run.Folder) error {
	lock, err := folder.Lock()
	if err != nil {
		return nil // somebody does
	}
	err = folder.Discard()
	_ = lock.Unlock() // the process's end gives it back too
	return err
}

// spawn starts the trainer and waits until it has the run.
func (j *job) spawn(c *cobra.Command, folder *run.Folder) error {
	dir, err := filepath.Abs(folder.Dir())
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(folder.Path(run.TrainerLogName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the trainer has it
	said, say, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }()
	args := []string{"resume", "--" + detachedFlag}
	for _, name := range []string{"steps", "checkpoint-every", "keep", "allow-data-change", "threads", "backend", "device", "metrics-addr", "lr", "ema-decay", "preview-every"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			args = append(args, "--"+name+"="+f.Value.String())
		}
	}
	cmd := exec.Command(self, append(args, "--", dir)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{say}
	ownSession(cmd)
	err = cmd.Start()
	_ = say.Close() // the trainer has it
	if err != nil {
		return fmt.Errorf("the trainer cannot be started in the background (%w): --headless trains in the foreground", err)
	}
	go func() { _ = cmd.Wait() }() // the log says how it ended
	_ = said.SetReadDeadline(time.Now().Add(startPatience))
	line, err := io.ReadAll(io.LimitReader(said, 64<<10))
	var r ready
	if jsonErr := json.Unmarshal(line, &r); jsonErr != nil {
		return fmt.Errorf("the trainer ended before it began (%w): see %s", errors.Join(err, jsonErr), folder.Path(run.TrainerLogName))
	}
	if r.Error != "" {
		return &codedError{r.Error, r.Code}
	}
	return nil
}

// detached is the trainer's side.
func (j *job) detached(c *cobra.Command, folder *run.Folder) error {
	ignoreHangup()
	pipe := os.NewFile(readyFile, "ready")
	once := func(err error) {
		if pipe == nil {
			return
		}
		r := ready{}
		if err != nil {
			r = ready{err.Error(), exitCode(err)}
		}
		_ = json.NewEncoder(pipe).Encode(r) // whoever started this may have gone
		_ = pipe.Close()
		pipe = nil
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	o := train.Options{OnEvent: plainEvents(c.OutOrStdout(), c.ErrOrStderr(), time.Minute)}
	err := j.run(ctx, folder, o, func() { once(nil) }, nil)
	once(err)
	return err
}
