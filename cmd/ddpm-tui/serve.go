package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"charm.land/wish/v2"
	"github.com/charmbracelet/ssh"
	"github.com/spf13/cobra"
	gossh "golang.org/x/crypto/ssh"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	listen, keys, hostKey string
	sessions              int
	idle                  time.Duration
}

// defaultListen is the address that serve listens on unless one is asked for: nobody but this machine reaches it.
const defaultListen = "127.0.0.1:2323"

func newServe() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "serve [FOLDER|RUN]", Short: "Let others watch runs over SSH, without an account on this machine", Args: args(0, 1),
		Long: `Let others watch over SSH: everybody whose key is in a file, and nobody else. They see the runs of ./runs, or of FOLDER,
or one RUN, and can do nothing but watch. A key whose line begins with the word control may also pause, sample, save and stop.

There is no shell, no command, no file transfer and no forwarding behind it. It listens on this machine only, unless --listen names
another address. The file has the form of OpenSSH's authorized_keys and is read anew at every connection:

  ssh-ed25519 AAAAC3Nz... ann             watches
  control ssh-ed25519 AAAAC3Nz... bob     watches, and controls runs`,
		Example: `  ddpm-tui serve                                    then: ssh -p 2323 localhost
  ddpm-tui serve runs/avatars32 --listen 0.0.0.0:2323
  ddpm-tui serve --authorized-keys team.keys --max-sessions 20 --idle 8h`,
	}
	fl := c.Flags()
	fl.StringVar(&f.listen, "listen", defaultListen, "address and port")
	fl.StringVar(&f.keys, "authorized-keys", "", "who may come (default: ddpm-tui/authorized_keys in the user's configuration folder)")
	fl.StringVar(&f.hostKey, "host-key", "", "this server's key, made where there is none (default: ddpm-tui/ssh_host_ed25519_key there)")
	fl.IntVar(&f.sessions, "max-sessions", 8, "screens at a time")
	fl.DurationVar(&f.idle, "idle", time.Hour, "end a session in which no key was pressed for so long (0: never)")
	c.RunE = func(c *cobra.Command, a []string) error {
		if err := f.check(); err != nil {
			return usageError{err}
		}
		if err := screen(c, "").CheckImages(); err != nil {
			return usageError{err}
		}
		root := runsDir
		if len(a) > 0 {
			root = a[0]
			if _, err := os.Stat(root); err != nil {
				return err
			}
		}
		return f.serve(c, root)
	}
	return c
}

// check refuses flags that make no sense, and an address that is wider than it looks.
func (f *serveFlags) check() error {
	host, port, err := net.SplitHostPort(f.listen)
	switch {
	case err != nil || port == "":
		return fmt.Errorf("--listen %q: want ADDRESS:PORT, such as %s", f.listen, defaultListen)
	case host == "":
		return fmt.Errorf("--listen %q is every address of this machine: write 0.0.0.0%s if that is meant", f.listen, f.listen)
	case f.sessions < 1:
		return fmt.Errorf("--max-sessions %d: want at least 1", f.sessions)
	case f.idle < 0:
		return fmt.Errorf("--idle %v: want 0 or more", f.idle)
	}
	return nil
}

// files fills in where the keys are, and looks at them: without a file that says who may come there is no server.
func (f *serveFlags) files() error {
	if f.keys == "" || f.hostKey == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return fmt.Errorf("%w: name the files with --authorized-keys and --host-key", err)
		}
		dir = filepath.Join(dir, "ddpm-tui")
		if f.keys == "" {
			f.keys = filepath.Join(dir, "authorized_keys")
		}
		if f.hostKey == "" {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			f.hostKey = filepath.Join(dir, "ssh_host_ed25519_key")
		}
	}
	keys, err := readKeys(f.keys)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s does not exist, so nobody could come: put the public keys of those who may watch into it, such as\n  cat ~/.ssh/id_ed25519.pub >> %s", f.keys, f.keys)
	case err != nil:
		return err
	case len(keys) == 0:
		return fmt.Errorf("%s has no keys, so nobody could come: put the public keys of those who may watch into it", f.keys)
	}
	return privateFile(f.hostKey)
}

// serve listens until the command's context ends.
func (f *serveFlags) serve(c *cobra.Command, root string) error {
	if err := f.files(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	g := &guests{c: c, root: root, keys: f.keys, idle: f.idle, limit: f.sessions, ctx: ctx}
	srv, err := wish.NewServer(
		wish.WithAddress(f.listen),
		wish.WithVersion("ddpm-tui"),
		wish.WithHostKeyPath(f.hostKey),
		wish.WithPublicKeyAuth(func(_ ssh.Context, key ssh.PublicKey) bool { _, ok := g.guest(key); return ok }),
		wish.WithMiddleware(func(ssh.Handler) ssh.Handler { return g.session }),
	)
	if err != nil {
		return fmt.Errorf("the host key %s: %w", f.hostKey, err)
	}
	if err := privateFile(f.hostKey); err != nil { // also the one that was made now
		return err
	}
	srv.ConnCallback = func(ctx ssh.Context, conn net.Conn) net.Conn {
		if v, ok := conn.(*visitor); ok {
			ctx.SetValue(visitorKey{}, v)
		}
		return conn
	}
	// Nothing but sessions, and in them nothing but a terminal.
	srv.ChannelHandlers = map[string]ssh.ChannelHandler{"session": func(srv *ssh.Server, conn *gossh.ServerConn, ch gossh.NewChannel, ctx ssh.Context) {
		ssh.DefaultSessionHandler(srv, conn, terminalOnly{ch}, ctx)
	}}
	srv.RequestHandlers, srv.SubsystemHandlers = map[string]ssh.RequestHandler{}, map[string]ssh.SubsystemHandler{}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	fmt.Fprintf(c.OutOrStdout(), "serving %s on %s; who may come is in %s\n", root, l.Addr(), f.keys)
	for _, s := range srv.HostSigners {
		fmt.Fprintf(c.OutOrStdout(), "host key %s\n", gossh.FingerprintSHA256(s.PublicKey()))
	}
	fmt.Fprintf(c.OutOrStdout(), "to watch:  ssh -p %s %s\n", port, host)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(newDoor(l)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The screens leave in order, so that no terminal is left as it should not be.
	wait, stop := context.WithTimeout(context.Background(), 3*time.Second)
	defer stop()
	g.end(wait)
	_ = srv.Shutdown(wait) // clients close their connections when they have read how their session ended
	if err := srv.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), "the server has ended; training goes on")
	return nil
}

// privateFile refuses a file that others can read or change. One that does not exist is made later.
func privateFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	if othersMay(info, 0o077) {
		return fmt.Errorf("%s can be read by others (%v): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// A guest is somebody whose key is in the file.
type guest struct {
	name    string // the key's comment, or its fingerprint
	control bool
}

// enforced are the options of authorized_keys that forbid what is not there anyway.
var enforced = []string{"restrict", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"}

// readKeys reads an authorized_keys file: who may come, by their keys. An option that it does not know is an error: it would be there to
// keep somebody out.
func readKeys(path string) (map[string]guest, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if othersMay(info, 0o022) {
		return nil, fmt.Errorf("%s can be changed by others (%v): chmod go-w %s", path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys := map[string]guest{}
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, comment, options, _, err := gossh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: no public key", path, n+1)
		}
		g := guest{name: comment}
		if g.name == "" {
			g.name = gossh.FingerprintSHA256(key)
		}
		for _, o := range options {
			switch o = strings.ToLower(o); {
			case o == "control":
				g.control = true
			case !slices.Contains(enforced, o):
				return nil, fmt.Errorf("%s, line %d: the option %q is not known here: control is", path, n+1, o)
			}
		}
		keys[string(key.Marshal())] = g
	}
	return keys, nil
}
