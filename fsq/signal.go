package fsq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrSignal says that there is no such signal.
var ErrSignal = errors.New("no such signal")

// ParseSignal reads a signal as kill(1) takes it: "USR1", "SIGUSR1", "usr1" or "10". The
// result is a name without SIG, or a number if it has none. The error wraps ErrSignal.
func ParseSignal(s string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "SIG")
	n, err := signalNumber(name)
	if err != nil {
		return "", err
	}
	if known := unix.SignalName(n); known != "" {
		return strings.TrimPrefix(known, "SIG"), nil
	}
	return name, nil
}

// maxSignal is the greatest number of a signal on Linux, SIGRTMAX; the others have
// fewer, and their kernels refuse the rest.
const maxSignal = 64

func signalNumber(name string) (unix.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= maxSignal && strconv.Itoa(n) == name {
		return unix.Signal(n), nil
	}
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%s: %w", quote(name), ErrSignal)
}

// SignalNumber is the number of a signal that an Attempt or an ExitError names; 0 if
// there is none.
func SignalNumber(name string) int {
	n, err := signalNumber(strings.TrimPrefix(strings.TrimPrefix(name, "SIG"), "signal "))
	if err != nil {
		return 0
	}
	return int(n)
}
