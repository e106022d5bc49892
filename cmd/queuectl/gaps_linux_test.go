//go:build linux && (amd64 || arm64)

package main

import "testing"

func TestX(t *testing.T) {
	r := newRig(t)
	r.ok("init")
	c := tracer{path: r.bin, args: []string{"enqueue", `{"id":"x","command":"true"}`}, env: r.env, dir: r.spool}
	got := c.run(t)
	t.Logf("%q %v %s", got.calls, got.status, got.stderr)
}
