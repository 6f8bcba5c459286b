//go:build !linux

package cpu

func hugePages([]byte) {}
