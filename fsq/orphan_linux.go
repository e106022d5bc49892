package fsq

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// orphanPatience bounds killOrphans: what has not died by then hangs in the
// kernel or may not be signalled.
const orphanPatience = 5 * time.Second

// killOrphans kills what is left of a dead worker's unfinished jobs, given as
// the attempt that each id was in, and returns when nothing is. Processes are
// known by their environment, so it also finds those that left their process
// group. What other jobs of that worker left behind is spared. An error names
// the processes that are still there after five seconds.
//
// Not found are processes that got a new environment or wrote over theirs,
// those of other users, unless this is root, and those in a process namespace
// that cannot be seen from here.
func killOrphans(worker string, attempts map[string]int) error {
	if len(attempts) == 0 {
		return nil
	}
	deadline := time.Now().Add(orphanPatience)
	pause := 2 * time.Millisecond
	// One look proves little: a process can be between the two halves of its
	// execve(2), when it has no environment, or fork behind the reader's back.
	for clean := 0; clean < 3; {
		left, err := killRound(worker, attempts)
		if err != nil {
			return fmt.Errorf("look for processes of worker %s: %w", worker, err)
		}
		clean++
		if len(left) > 0 {
			clean = 0
			if time.Now().After(deadline) {
				return fmt.Errorf("processes of dead worker %s did not die: %s", worker, joinInts(left))
			}
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
	return nil
}

// killRound sends SIGKILL to every process of the attempts that it finds, and
// returns their numbers. This process and its group are never among them.
//
// A process is stopped as soon as it is seen: it can fork no more, and its
// number and its group's are its own until it is killed at the end of the
// round. Members of a group die all at once, without a chance to fork, so the
// group is signalled, unless it has strangers in it.
func killRound(worker string, attempts map[string]int) ([]int, error) {
	own := unix.Getpgrp()
	var left []int
	var orphans []*os.Process
	defer func() {
		for _, p := range orphans {
			_ = p.Release()
		}
	}()
	groups := make(map[int]bool) // whether it is all theirs
	err := eachPid(func(pid int) {
		if pid == os.Getpid() || !isOrphan(pid, worker, attempts) {
			return
		}
		if pgid, err := unix.Getpgid(pid); err != nil || pgid == own {
			return
		}
		// On kernels from 5.4 this is a descriptor that sticks to the process
		// and not to its number, so what is asked next is about the same one.
		p, err := os.FindProcess(pid)
		if err != nil {
			return
		}
		if !isOrphan(pid, worker, attempts) || errors.Is(p.Signal(unix.SIGSTOP), os.ErrProcessDone) {
			_ = p.Release()
			return
		}
		left = append(left, pid)
		orphans = append(orphans, p)
		// Group 0 is what one outside this process namespace looks like; to
		// kill(2), 0 is our own and -1 is everybody.
		if pgid, err := unix.Getpgid(pid); err == nil && pgid > 1 && pgid != own {
			groups[pgid] = true
		}
	})
	if len(orphans) == 0 {
		return nil, err
	}
	if err == nil {
		err = eachPid(func(pid int) {
			state, pgid, ok := procStat(pid)
			if ok && groups[pgid] && !zombie(state) && !isOrphan(pid, worker, attempts) {
				groups[pgid] = false
			}
		})
	}
	if err != nil {
		clear(groups)
	}
	for pgid, theirs := range groups {
		if theirs {
			_ = unix.Kill(-pgid, unix.SIGKILL)
		}
	}
	for _, p := range orphans {
		_ = p.Kill()
	}
	return left, err
}

// isOrphan says whether a process's environment is that of one of the
// attempts. A zombie's reads as empty.
func isOrphan(pid int, worker string, attempts map[string]int) bool {
	env, err := os.ReadFile(procPath(pid, "environ"))
	if err != nil || !bytes.Contains(env, []byte(envWorker+"="+worker+"\x00")) {
		return false
	}
	found := make(map[string]string)
	for kv := range strings.SplitSeq(string(env), "\x00") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			found[k] = v
		}
	}
	attempt, ok := attempts[found[envJobID]]
	return ok && found[envWorker] == worker && found[envAttempt] == strconv.Itoa(attempt)
}

// eachPid calls f for every process that can be seen, by rising number. It reads
// the list piece by piece: a process is looked at soon after it was listed, and
// one that is forked meanwhile is still ahead, unless the numbers wrap.
func eachPid(f func(pid int)) error {
	d, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for buf := make([]byte, 512); ; { // some 20 names
		n, err := unix.ReadDirent(int(d.Fd()), buf)
		if err != nil {
			return fmt.Errorf("read /proc: %w", err)
		}
		if n <= 0 {
			return nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				f(pid)
			}
		}
	}
}

// procStat returns a process's state letter and process group.
func procStat(pid int) (state byte, pgid int, ok bool) {
	data, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return 0, 0, false
	}
	// The second field is the program's name in brackets, and may hold both
	// blanks and brackets.
	rest := data[bytes.LastIndexByte(data, ')')+1:]
	var ppid int
	if _, err := fmt.Sscanf(string(rest), " %c %d %d", &state, &ppid, &pgid); err != nil {
		return 0, 0, false
	}
	return state, pgid, true
}

// zombie says whether a state letter is that of a process that runs no more.
func zombie(state byte) bool { return state == 'Z' || state == 'X' || state == 'x' }

func procPath(pid int, file string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + file
}

func joinInts(ns []int) string {
	words := make([]string, len(ns))
	for i, n := range ns {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}
