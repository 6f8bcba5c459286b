package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

func newData() *cobra.Command {
	c := &cobra.Command{
		Use: "data [DATA]", Short: "Look at a set of images: what would be loaded, what is skipped and why", Args: args(0, 1),
		Long: `Look at a set of images. DATA is a folder, a zip or tar of PNG, JPEG, GIF, BMP, TIFF or WebP images, CIFAR-10's binary
files or MNIST's idx files; left out, it is the avatars inside the program.`,
		Example: `  ddpm-tui data ~/pictures
  ddpm-tui data avatars.zip --size 32 --headless`,
	}
	size := c.Flags().Int("size", 0, "pixels a side (0: the images' own where they are small squares, 64 otherwise)")
	headless := c.Flags().Bool("headless", false, "print plain lines")
	asJSON := c.Flags().Bool("json", false, "print one JSON object")
	c.RunE = func(c *cobra.Command, a []string) error {
		if *size < 0 || *size > data.MaxSize {
			return usageError{fmt.Errorf("--size %d: want 1 to %d, or 0 for the images' own", *size, data.MaxSize)}
		}
		set, err := loadData(c.Context(), first(a), *size, 3, c.ErrOrStderr())
		if err != nil {
			return err
		}
		out, facts := c.OutOrStdout(), data.Summary(set)
		switch {
		case *asJSON:
			return json.NewEncoder(out).Encode(facts)
		case *headless || !onScreen(c):
			fmt.Fprint(out, facts)
			for _, s := range facts.Skipped {
				fmt.Fprintln(out, "skipped", s)
			}
			return nil
		}
		return tui.RunData(c.Context(), dataInfo(set), screen(c, set.Name))
	}
	return c
}

// dataInfo is a set of images as the screens show it.
func dataInfo(set *data.Set) tui.DataInfo {
	facts := data.Summary(set)
	info := tui.DataInfo{Path: set.Name, Count: set.N, Side: set.Size, Mean: set.MeanImage(), Sheet: data.ContactSheet(set, 8, 8, 1), Rows: 8, Cols: 8}
	for _, s := range facts.Sources {
		info.Sizes = append(info.Sizes, tui.SizeCount(s))
	}
	for _, s := range facts.Skipped {
		info.Skipped = append(info.Skipped, tui.Skipped(s))
	}
	return info
}

// lookAt looks at the images that a run of a preset would train on.
func lookAt(ctx context.Context, preset, path string, progress func(done, total, skipped int)) (tui.DataInfo, error) {
	c, err := train.PresetConfig(preset)
	if err != nil {
		return tui.DataInfo{}, err
	}
	set, err := data.Load(ctx, atHome(path), data.Options{Size: c.UNet.SampleSize, Channels: c.UNet.InChannels, Progress: progress})
	if err != nil {
		return tui.DataInfo{}, err
	}
	return dataInfo(set), nil
}

// atHome is a path that a person typed where no shell reads it: ~ is the home folder.
func atHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return home + rest
}

func first(a []string) string {
	if len(a) == 0 {
		return ""
	}
	return a[0]
}

// onTerminal says whether a screen can be shown.
func onTerminal() bool {
	return term.IsTerminal(os.Stdin.Fd()) && term.IsTerminal(os.Stdout.Fd())
}

// screen are the options of a screen.
func screen(c *cobra.Command, title string, next ...string) tui.Options {
	images, _ := c.Flags().GetString("images")
	kib, _ := c.Flags().GetInt("bandwidth")
	return tui.Options{Title: title, Images: images, Next: next, Budget: kib << 10}
}

// loadData loads an image set, with progress on w where that is a terminal.
func loadData(ctx context.Context, source string, size, channels int, w io.Writer) (*data.Set, error) {
	return data.Load(ctx, source, data.Options{Size: size, Channels: channels, Progress: progressLine(w)})
}

// progressLine shows how far reading images is, in one line that goes away; nil where w is no terminal.
func progressLine(w io.Writer) func(done, total, skipped int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) {
		return nil
	}
	return func(done, total, skipped int) {
		switch {
		case total <= 200:
		case done == total:
			fmt.Fprint(w, "\r\x1b[K")
		case done%100 == 0:
			const cells = 30
			full := cells * done / total
			fmt.Fprintf(w, "\rreading images [%s%s] %d of %d, %d skipped ", strings.Repeat("#", full), strings.Repeat(".", cells-full), done, total, skipped)
		}
	}
}
