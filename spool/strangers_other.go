//go:build !linux

package spool

// unmapped users are of Linux's user namespaces only.
func unmapped(uint32) bool { return false }
