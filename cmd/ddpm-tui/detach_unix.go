//go:build unix

package main

import (
	"os/exec"
	"os/signal"
	"syscall"
)

// canDetach says whether a trainer can outlive the terminal it was started on.
const canDetach = true

// ownSession keeps what happens to the terminal from a process.
func ownSession(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func ignoreHangup() { signal.Ignore(syscall.SIGHUP) }
