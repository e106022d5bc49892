//go:build !linux

package main

import "golang.org/x/sys/unix"

// The requests by which a terminal's settings are read and changed (termios(4)).
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)
