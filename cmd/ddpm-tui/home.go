package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

// runInfos is the runs in a folder as the screens list them.
func runInfos(root string) []tui.RunInfo {
	var runs []tui.RunInfo
	for _, i := range run.List(root) {
		runs = append(runs, runInfo(i))
	}
	return runs
}

// home shows the runs and a new run, and does what the person chose.
func home(c *cobra.Command, _ []string) error {
	if plain(c) {
		root := newRoot()
		root.SetArgs([]string{"runs"})
		if err := root.ExecuteContext(c.Context()); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "\nddpm-tui train --plain starts a run, ddpm-tui attach RUN --plain tells what one does, ddpm-tui --help lists the commands")
		return nil
	}
	if !onTerminal() {
		return usageError{errors.New("the home screen needs a terminal: see ddpm-tui --help for the commands")}
	}
	runs := runInfos(runsDir)
	var presets []string
	for _, p := range train.Presets() {
		presets = append(presets, p.Name)
	}
	for i, p := range presets {
		if p == train.DefaultPreset {
			presets[0], presets[i] = presets[i], presets[0]
		}
	}
	opt := screen(c, "ddpm-tui")
	opt.Desk = &tui.Desk{Last: lastSamples, Look: lookAt}
	choice, err := tui.RunHome(c.Context(), runs, presets, opt)
	if err != nil {
		return err
	}
	images, _ := c.Flags().GetString("images")
	sub := func(args ...string) error {
		root := newRoot()
		root.SetArgs(args)
		return root.ExecuteContext(c.Context())
	}
	switch choice.Action {
	case tui.ActionOpen:
		if choice.Run.State == run.Running || choice.Run.State == run.Done {
			return sub("attach", "--images", images, "--", choice.Run.Dir)
		}
		return sub("resume", "--images", images, "--", choice.Run.Dir)
	case tui.ActionSample:
		return sub("sample", "--images", images, "-o", filepath.Join(choice.Run.Dir, "grid.png"), "--", choice.Run.Dir)
	case tui.ActionNew:
		args := []string{"train", "--images", images, "--preset", choice.Preset, "--"}
		if choice.Data != "" {
			args = append(args, atHome(choice.Data))
		}
		return sub(args...)
	case tui.ActionQuit:
		return nil
	}
	return fmt.Errorf("unknown choice %q", choice.Action)
}
