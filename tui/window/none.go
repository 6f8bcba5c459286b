//go:build !window || !cgo

package window

import "context"

// Built says whether this build has a window.
const Built = false

// Show is for builds with the tag window.
func Show(context.Context, string, string) error { return ErrNotBuilt }
