package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is a folder with all that lies in it. Links to files are followed; links to folders are not, because one to
// / would read the whole disk and one to .. would never end.
type folder struct {
	root, name string
	lim        limits
}

func (f *folder) label() string { return f.name }
func (f *folder) ordered() bool { return true }
func (f *folder) close() error  { return nil }

func (f *folder) list(ctx context.Context) (entries []entry, skips []Skip, err error) {
	var names int64
	root, err := filepath.EvalSymlinks(f.root) // WalkDir does not follow the root itself
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s", f.name, reason(err))
	}
	f.root = root
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, rerr := filepath.Rel(root, p)
		if rerr != nil {
			return rerr
		}
		rel = filepath.ToSlash(rel)
		if rel == "." {
			if err != nil {
				return fmt.Errorf("%s: %s", f.name, reason(err))
			}
			return nil
		}
		skip := func(err error) { skips = append(skips, Skip{Escape(rel), reason(err)}) }
		if ignored(rel) {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err != nil { // a folder that cannot be listed; WalkDir goes on beside it
			skip(err)
			return nil
		}
		if names += int64(len(rel)); len(entries)+len(skips) >= f.lim.entries || names > f.lim.nameBytes {
			return fmt.Errorf("%s holds more than %d files: name a folder with fewer", f.name, f.lim.entries)
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(p) // follows links; fails for those that loop or dangle
		link := d.Type()&fs.ModeSymlink != 0
		switch {
		case err != nil && link && errors.Is(err, fs.ErrNotExist):
			skip(skipf("a link to nothing"))
		case err != nil && link:
			skip(skipf("a link that leads nowhere: %s", reason(err)))
		case err != nil:
			skip(err)
		case link && info.IsDir():
			skip(skipf("a link to a folder, not followed: name that folder itself"))
		default:
			if err := regular(info); err != nil {
				skip(err)
				return nil
			}
			entries = append(entries, entry{name: rel, size: info.Size()})
		}
		return nil
	})
	return entries, skips, err
}

func (f *folder) feed(_ context.Context, want []entry, do func(int, int64, opener) error) error {
	for i, e := range want {
		if err := do(i, e.size, fileOpener(filepath.Join(f.root, filepath.FromSlash(e.name)))); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) sibling(name string) (io.ReadCloser, error) {
	return fileOpener(filepath.Join(f.root, filepath.FromSlash(name)))()
}
