package main

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// screen is a terminal that is drawn over: its other page, without a cursor and without
// echo. close gives it back as it was.
type screen struct {
	o       *output
	keys    chan byte
	resized chan struct{}

	tty     *os.File
	was     *unix.Termios
	signals chan os.Signal
	once    sync.Once
}

// Sequences that all terminals of the last decades know.
const (
	enterPage = "\x1b[?1049h\x1b[?25l\x1b[2J"
	leavePage = "\x1b[?25h\x1b[?1049l"
	goHome    = "\x1b[H"
	restOfRow = "\x1b[K"
)

func openScreen(o *output) (*screen, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(errors.New("opening the terminal"), err)
	}
	s := &screen{o: o, tty: tty, keys: make(chan byte), resized: make(chan struct{}, 1), signals: make(chan os.Signal, 4)}
	if s.was, err = unix.IoctlGetTermios(int(tty.Fd()), getTermios); err != nil {
		tty.Close()
		return nil, err
	}
	s.enter()
	signal.Notify(s.signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	go s.obey()
	go s.read()
	return s, nil
}

// enter turns to the other page. Signals of keys stay: Ctrl-C and Ctrl-Z do what they
// always do.
func (s *screen) enter() {
	now := *s.was
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	_ = unix.IoctlSetTermios(int(s.tty.Fd()), setTermios, &now)
	s.o.printf("%s", enterPage)
}

func (s *screen) leave() {
	s.o.printf("%s", leavePage)
	_ = unix.IoctlSetTermios(int(s.tty.Fd()), setTermios, s.was)
}

func (s *screen) obey() {
	for sig := range s.signals {
		switch sig {
		case syscall.SIGTSTP:
			// A shell must get its terminal back before this process is stopped.
			s.leave()
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		case syscall.SIGCONT:
			s.enter()
			s.redraw()
		default:
			s.redraw()
		}
	}
}

func (s *screen) redraw() {
	select {
	case s.resized <- struct{}{}:
	default:
	}
}

// read hands on what is typed, until the process ends.
func (s *screen) read() {
	var key [1]byte
	for {
		if n, err := s.tty.Read(key[:]); err != nil || n == 0 {
			return
		}
		s.keys <- key[0]
	}
}

// size is that of the terminal now, and at least what a frame needs to make sense.
func (s *screen) size() (width, height int) {
	ws, err := unix.IoctlGetWinsize(int(s.tty.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24
	}
	return max(int(ws.Col), 20), max(int(ws.Row), 4)
}

// draw shows lines in the place of what was there, without clearing the page first, which
// would flicker.
func (s *screen) draw(lines []string) {
	var b strings.Builder
	b.WriteString(goHome)
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l + restOfRow)
	}
	s.o.printf("%s", b.String())
}

func (s *screen) close() {
	s.once.Do(func() {
		signal.Stop(s.signals)
		s.leave()
	})
}
