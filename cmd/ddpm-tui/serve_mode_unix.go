//go:build unix

package main

import "io/fs"

// othersMay says whether others than the owner may do any of what the bits of a mode allow.
func othersMay(info fs.FileInfo, bits fs.FileMode) bool { return info.Mode().Perm()&bits != 0 }
