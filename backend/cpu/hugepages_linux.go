package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePages asks for large pages for what of b they can cover: the arena is read from end to end in every step, and small
// pages cost a look-up each. A kernel that has none, or wants none, ignores it.
func hugePages(b []byte) {
	const page = 2 << 20
	if len(b) < 2*page {
		return
	}
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (page - 1))
	if n := (len(b) - skip) / page * page; n > 0 {
		_ = unix.Madvise(b[skip:skip+n], unix.MADV_HUGEPAGE)
	}
}
