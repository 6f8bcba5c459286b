//go:build amd64 && !purego

package simd

import (
	"sync"

	"golang.org/x/sys/unix"
)

// amxPermitted asks Linux for the use of AMX, which holds for the process from then on: signal frames grow by 8 KiB, for which
// Go's signal stacks, of 32 KiB, have room.
var amxPermitted = sync.OnceValue(func() bool {
	const archReqXcompPerm, xtileData = 0x1023, 18
	_, _, err := unix.Syscall(unix.SYS_ARCH_PRCTL, archReqXcompPerm, xtileData, 0)
	return err == 0
})
