//go:build !windows && (!unix || aix || solaris)

package run

import "os"

func tryLock(*os.File, bool) (bool, error) { return false, errNoLocks }
