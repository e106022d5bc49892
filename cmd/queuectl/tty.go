package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// columns is the width of the terminal that f is, or 0 if it is none. A terminal
// that does not know its width has the 80 columns of old.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0:
		return 80
	}
	return int(size.Col)
}

// useColor decides for one stream: what --color says, else what the environment
// says (no-color.org, CLICOLOR_FORCE), else whether it is a terminal that can.
func useColor(mode string, terminal bool, getenv func(string) string) bool {
	switch {
	case mode != "auto":
		return mode == "always"
	case getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return terminal && getenv("TERM") != "dumb"
}
