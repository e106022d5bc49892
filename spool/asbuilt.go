//go:build !nosync && !witness

package spool

// asBuilt is where a build for a test changes what the program is made of. No release
// does: see forgetful.go and witness.go.
func asBuilt(o ops) ops { return o }
