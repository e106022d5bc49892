package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/queuectl/queuectl/dashboard"
	"github.com/queuectl/queuectl/fsq"
)

type dashboardOptions struct {
	addr       string
	tokenFile  string
	allowHosts []string
	basePath   string
	readOnly   bool
	enqueue    bool
}

// dashboardAddr is where the dashboard listens unless somebody says otherwise.
const dashboardAddr = "127.0.0.1:3000"

// tokenVariable holds a token, for where there is no file.
const tokenVariable = envPrefix + "_DASHBOARD_TOKEN"

func newDashboard(a *app) *command {
	var o dashboardOptions
	c := &command{
		name:  "dashboard",
		short: "Serve a live web page over the queues",
		long: `Prints the address of the page, and serves it until SIGTERM or SIGINT (Ctrl-C). It shows
all queues of the spool, or those of --queue, and changes jobs, queues and workers as the
commands do. /api/v1 has the same as JSON, /metrics for Prometheus, /healthz and /readyz for
probes.

Without a token it listens on this machine only, and everybody on it is let in. With
--token-file, or ` + tokenVariable + `, it listens anywhere; the file has a token of 16
characters or more on each line, or NAME:TOKEN, and only its owner may read it. It speaks
plain HTTP: put a proxy with TLS before it where others can listen in.`,
		also: []string{"web", "serve", "ui-web", "http"},
		examples: []example{
			{"On this machine", "queuectl dashboard"},
			{"To look at, and not to touch", "queuectl dashboard --read-only"},
			{"For others, with a token", "queuectl dashboard --addr :3000 --token-file tokens --allow-host queue.lan"},
		},
		exits:   []exitStatus{{exitOK, "stopped by SIGTERM or SIGINT"}, {exitUsage, "an address that others reach, or --allow-enqueue, and no token"}},
		queues:  someQueue,
		flags:   newFlagSet(),
		run:     func(ctx context.Context, _ []string) error { return a.dashboard(ctx, o) },
		signals: true,
	}
	o.addr = dashboardAddr
	stringFlag(c.flags, &o.addr, "addr", "HOST:PORT", "where to listen ("+dashboardAddr+" if not given); port 0 takes a free one")
	stringFlag(c.flags, &o.tokenFile, "token-file", "FILE", "let in who has one of the tokens in this file")
	stringsFlag(c.flags, &o.allowHosts, "allow-host", "NAME", "answer to this name in the browser's address bar, too; can be given again")
	stringFlag(c.flags, &o.basePath, "base-path", "PATH", "serve below this path, for a proxy that passes it on")
	boolFlag(c.flags, &o.readOnly, "read-only", "change nothing")
	boolFlag(c.flags, &o.enqueue, "allow-enqueue", "take jobs over the web, from who has a token: he runs commands here")
	return c
}

func (a *app) dashboard(ctx context.Context, o dashboardOptions) error {
	opt, err := a.dashboardOptions(o)
	if err != nil {
		return err
	}
	tokens := len(opt.Tokens) > 0
	if err := checkAddr(ctx, o.addr, tokens); err != nil {
		return err
	}
	if err := checkEnqueue(o, tokens); err != nil {
		return err
	}
	d, err := dashboard.New(opt)
	if err != nil {
		return usagef("%v", err)
	}
	defer d.Close()
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", o.addr)
	if err != nil {
		return listenError(o.addr, err)
	}
	if err := a.printAddress(l.Addr(), o); err != nil {
		return errors.Join(err, l.Close())
	}
	return d.Serve(ctx, l)
}

// dashboardOptions are the flags, and which queues are selected: all, if nobody says.
func (a *app) dashboardOptions(o dashboardOptions) (dashboard.Options, error) {
	opt := dashboard.Options{
		Dir: a.spool, BasePath: o.basePath, AllowHosts: o.allowHosts, ReadOnly: o.readOnly, AllowEnqueue: o.enqueue,
		Version: buildVersion().Version, Log: slog.New(logHandler{a: a}),
	}
	if host, _, err := net.SplitHostPort(o.addr); err == nil && host != "" {
		opt.AllowHosts = append(slices.Clone(opt.AllowHosts), host)
	}
	if a.queue != "" && !a.names(everyQueue) {
		qs, err := a.queues() // that none of them is there shows now
		if err != nil {
			return opt, err
		}
		for _, q := range qs {
			opt.Queues = append(opt.Queues, q.Name())
		}
	}
	opt.Open = func(name string) (*fsq.Queue, error) {
		s, err := a.readSettings(name, a.settings.args)
		if err != nil {
			return nil, err
		}
		return fsq.OpenExistingQueue(a.spool, name, s.cfg)
	}
	var err error
	opt.Tokens, err = readTokens(o.tokenFile)
	return opt, err
}

// What a hint tells to type.
const (
	makeToken     = "openssl rand -hex 32 makes a token"
	makeTokenFile = "(umask 077; openssl rand -hex 32 >FILE) makes one"
)

// readTokens are those of the file, or of the environment.
func readTokens(path string) ([]dashboard.Token, error) {
	secret := os.Getenv(tokenVariable)
	switch {
	case path == "" && secret == "":
		return nil, nil
	case path == "":
		t := dashboard.Token{Secret: secret}
		if err := t.Validate(); err != nil {
			return nil, &usageError{fmt.Sprintf("%s: %v", tokenVariable, err), makeToken}
		}
		return []dashboard.Token{t}, nil
	}
	tokens, err := dashboard.ReadTokens(path)
	switch {
	case errors.Is(err, dashboard.ErrExposed):
		return nil, &usageError{err.Error(), "chmod 600 " + shellQuote(path)}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &usageError{err.Error(), makeTokenFile + "; it has a token on each line"}
	case err != nil:
		return nil, &usageError{err.Error(), "a line is a token of 16 characters or more, or NAME:TOKEN"}
	}
	return tokens, nil
}

// checkAddr refuses an address that others reach where everybody would be let in.
func checkAddr(ctx context.Context, addr string, tokens bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--addr must be HOST:PORT, such as %s, not %q", dashboardAddr, addr)
	}
	if _, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil {
		return usagef("--addr %s: the port must be a number from 0 to 65535", addr)
	}
	if tokens || isLoopback(host) {
		return nil
	}
	return &usageError{
		problem: fmt.Sprintf("--addr %s can be reached from elsewhere, and everybody would be let in", addr),
		hint:    "--token-file FILE or " + tokenVariable + " lets in who has a token; " + makeTokenFile + "; or listen on 127.0.0.1 and use a tunnel: ssh -L 3000:127.0.0.1:3000 HOST",
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkEnqueue refuses to take jobs from everybody on this machine: each would run commands
// as the user whose workers these are.
func checkEnqueue(o dashboardOptions, tokens bool) error {
	switch {
	case o.enqueue && o.readOnly:
		return usagef("--read-only and --allow-enqueue exclude each other")
	case o.enqueue && !tokens:
		return &usageError{
			problem: "--allow-enqueue without a token would let every user of this machine run commands as you",
			hint:    "--token-file FILE or $" + tokenVariable + " lets in who has a token; " + makeTokenFile,
		}
	}
	return nil
}

// listenError says which address it is, and what to do where that is taken.
func listenError(addr string, err error) error {
	err = fmt.Errorf("listen on %s: %w", addr, withoutOp(err))
	if errors.Is(err, syscall.EADDRINUSE) {
		return &hinted{err, "perhaps a dashboard runs already; --addr HOST:0 takes a free port"}
	}
	return err
}

// withoutOp leaves out what net says before the cause: the address is said already.
func withoutOp(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// dashboardInfo is what dashboard prints with --json, once it listens.
type dashboardInfo struct {
	URL string `json:"url"` // of the first page
}

// printAddress prints where the page is: what a person can open.
func (a *app) printAddress(at net.Addr, o dashboardOptions) error {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return err
	}
	atHost := host
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
		if len(o.allowHosts) > 0 {
			host = o.allowHosts[0]
		}
	}
	page := "http://" + net.JoinHostPort(host, port) + strings.TrimRight(o.basePath, "/") + "/"
	if a.json {
		return a.out.jsonLine(dashboardInfo{page})
	}
	a.out.printf("%s\n", page)
	a.note("serving %s; Ctrl-C ends it", a.spool)
	if !isLoopback(atHost) {
		a.note("it listens on %s: other hosts reach it, without TLS", at)
	}
	return a.out.err
}
