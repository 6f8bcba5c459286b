package cpu

import "golang.org/x/sys/unix"

// yield lets another thread that waits for this processor have it. It is quick where none waits, so the runtime need not be told.
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
