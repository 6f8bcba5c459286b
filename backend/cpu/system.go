package cpu

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// procField is the value of the first line "name : value" or "name: value" of a file under /proc, or "".
func procField(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func processorName() string {
	if s := procField("/proc/cpuinfo", "model name"); s != "" {
		return s
	}
	return runtime.GOARCH + " processor"
}

// systemMemory is the machine's free memory in bytes, 0 where it cannot be told.
func systemMemory() int64 {
	kb, err := strconv.ParseInt(strings.TrimSuffix(procField("/proc/meminfo", "MemAvailable"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}
