//go:build !unix

package main

import "io/fs"

// othersMay cannot be told from the mode of a file on this system.
func othersMay(fs.FileInfo, fs.FileMode) bool { return false }
