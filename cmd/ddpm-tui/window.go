package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/window"
)

// besideFlag marks a window that ends with the program that opened it, which holds its standard input.
const besideFlag = "beside"

func newWindow() *cobra.Command {
	c := &cobra.Command{
		Use: "window RUN", Short: "Show a run's previews at full size in a window of a local desktop", Args: args(1, 1),
		Long: `Show a run's newest preview, as large as the window, and the next ones as they come. The arrow keys go back and forth, End to the
newest, q closes. Only builds of make window have it; train, resume and attach open it beside their screen with --window.`,
		Example: "  ddpm-tui window runs/avatars32",
	}
	beside := c.Flags().Bool(besideFlag, false, "end with the standard input")
	_ = c.Flags().MarkHidden(besideFlag) // there is this flag
	c.RunE = func(c *cobra.Command, a []string) error {
		if !window.Built {
			return usageError{window.ErrNotBuilt}
		}
		folder, err := run.Open(a[0])
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		if *beside {
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin) // until the other program ends
				cancel()
			}()
		}
		return window.Show(ctx, "ddpm-tui "+folder.Name(), folder.Path("previews"))
	}
	return c
}

// windowFlag is --window, which only builds that have one take.
type windowFlag bool

func (w *windowFlag) String() string   { return strconv.FormatBool(bool(*w)) }
func (w *windowFlag) Type() string     { return "bool" }
func (w *windowFlag) IsBoolFlag() bool { return true }
func (w *windowFlag) Set(s string) error {
	on, err := strconv.ParseBool(s)
	if on && !window.Built {
		return window.ErrNotBuilt
	}
	*w = windowFlag(on)
	return err
}

func addWindowFlag(fl *pflag.FlagSet) {
	fl.Var(new(windowFlag), "window", "show the previews at full size in a window beside the screen (builds of make window)")
	fl.Lookup("window").NoOptDefVal = "true"
}

// openWindow opens the window beside a run's screen, if it was asked for; end closes it, and says why there was none: while the screen has
// the terminal nothing can be.
func openWindow(c *cobra.Command, folder *run.Folder) (end func()) {
	failed := func(err error) func() {
		return func() { fmt.Fprintln(c.ErrOrStderr(), "no window:", err) }
	}
	f := c.Flags().Lookup("window")
	if f == nil || f.Value.String() != "true" {
		return func() {}
	}
	self, err := os.Executable()
	if err != nil {
		return failed(err)
	}
	cmd := exec.Command(self, "window", "--"+besideFlag, "--", folder.Dir())
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return failed(err)
	}
	if err := cmd.Start(); err != nil {
		return failed(err)
	}
	return func() {
		_ = in.Close() // it ends
		if cmd.Wait() != nil {
			fmt.Fprint(c.ErrOrStderr(), &said)
		}
	}
}
