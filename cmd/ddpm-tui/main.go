// Command ddpm-tui trains and samples denoising diffusion models in the terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Exit codes.
const (
	exitOK    = 0
	exitFail  = 1 // the work failed
	exitUsage = 2 // the command line is wrong
)

// usageError is an error of the command line.
type usageError struct{ error }

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // what nohup started outlives the terminal
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop)                            // a second signal ends at once
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // an error of the write instead of the end: a run must be saved
	code := execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// execute is the whole command; it prints the error it returns a code for.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("stopped before the end")
	}
	fmt.Fprintf(os.Stderr, "ddpm-tui: %v\n", err)
	return exitCode(err)
}

// exitCode is what the command ends with: 2 for a wrong command line, the code of the fault that an error is (see run.Faults), and 1
// for what is none.
func exitCode(err error) int {
	var u usageError
	var other *codedError
	fault := run.FaultOf(err)
	switch {
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &other):
		return other.code
	case fault != nil && fault.Exit != 0:
		return fault.Exit
	}
	return exitFail
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ddpm-tui",
		Short: "Train and sample denoising diffusion models in the terminal",
		Long: `ddpm-tui trains and samples denoising diffusion models in the terminal, on the processor.

Without a command it opens the home screen: the runs in ./runs, and a new run.`,
		Example: `  ddpm-tui train                       watch a model learn the embedded avatars
  ddpm-tui train ~/pictures --size 64  train on a folder of images
  ddpm-tui sample runs/avatars32       sample from it`,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q: see ddpm-tui --help", args[0])}
			}
			return nil
		},
		RunE: home,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newEval(), newEMA(), newLogs())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see %s --help", err, c.CommandPath())}
	})
	root.PersistentFlags().String("images", "auto", "pictures in the terminal: auto, kitty, sixel, iterm, blocks, 256, ascii or off")
	root.PersistentFlags().Bool("plain", false, "no screen: lines that are only ever added to, for screen readers, logs and dumb terminals")
	root.PersistentFlags().Int("bandwidth", 0, "most KiB a second that pictures take over SSH (0: 256)")
	root.AddCommand(newTrain(), newResume(), newAttach(), newRuns(), newStop(), newEdit(), newServe(), newSample(), newExport(), newImport(), newData(), newPresets(), newDevices(), newBench(), newMerge(), newScaling(), newLab(), newWindow(), newVersion())
	return root
}

// args is a cobra argument check with a usage error.
func args(low, high int) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if len(a) < low || len(a) > high {
			return usageError{fmt.Errorf("%s takes %s: see %s --help", c.CommandPath(), arguments(low, high), c.CommandPath())}
		}
		return nil
	}
}

func arguments(low, high int) string {
	switch {
	case high == 0:
		return "no arguments"
	case low == high && low == 1:
		return "one argument"
	case low == 0 && high == 1:
		return "at most one argument"
	}
	return fmt.Sprintf("%d to %d arguments", low, high)
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintln(c.OutOrStdout(), "ddpm-tui", version())
			return nil
		},
	}
}

// version is the module's version and commit, as the Go tool wrote them into the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && (v == "" || v == "(devel)") {
			v = s.Value[:12]
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v + " " + info.GoVersion
}
