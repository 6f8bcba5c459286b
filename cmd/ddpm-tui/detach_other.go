//go:build !unix

package main

import "os/exec"

// canDetach says whether a trainer can outlive the terminal it was started on.
const canDetach = false

func ownSession(*exec.Cmd) {}

func ignoreHangup() {}
