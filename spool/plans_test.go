package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// count is what an exploration came to.
type count struct {
	plans, run, cut int
	ends            int // different outcomes
}

func (c *count) add(d count) {
	c.plans, c.run, c.cut, c.ends = c.plans+d.plans, c.run+d.run, c.cut+d.cut, c.ends+d.ends
}

// bounds say how far an exploration goes.
type bounds struct {
	crash, lost bool // explore a crash, a lost reply at each call
	both        bool // and both in one schedule, the reply then being a false one rather than EIO
	limit       int  // of schedules and repeats when nothing befalls; 0: none
	perPlan     int  // and when something does
}

// explore runs a scenario under every plan. It returns the first violation found.
func explore(t testing.TB, sc scenario, b bounds) (c count, problem string) {
	t.Helper()
	base := exploreDir(t)
	t0 := time.Now().UTC().Truncate(time.Hour).Add(56 * time.Minute)
	var mu sync.Mutex
	var ends sync.Map
	serial := 0
	try := func(p plan) *explorer {
		mu.Lock()
		serial++
		x := &explorer{
			sc: sc, plan: p, base: filepath.Join(base, fmt.Sprint("p", serial)), t0: t0,
			ends: &ends, calls: map[int]int{}, mutations: map[[2]int]map[string]bool{},
		}
		mu.Unlock()
		if err := os.Mkdir(x.base, 0o700); err != nil {
			t.Error(err)
			return x
		}
		defer os.RemoveAll(x.base)
		limit := b.limit
		if p != (plan{}) {
			limit = b.perPlan
		}
		for more := true; more && (limit == 0 || x.run+x.cut < limit); {
			mu.Lock()
			stop := problem != ""
			mu.Unlock()
			if stop {
				break
			}
			var found string
			if found, more = x.next(false); found != "" {
				x.path = x.failed // once more, for the record
				again, _ := x.next(true)
				mu.Lock()
				problem = fmt.Sprintf("%s\n%s: %s\n  %s", found, sc.name, p, strings.Join(x.trace, "\n  "))
				if again != found {
					problem += fmt.Sprintf("\nthe second time: %q", again)
				}
				mu.Unlock()
				break
			}
		}
		mu.Lock()
		c.add(count{plans: 1, run: x.run, cut: x.cut})
		mu.Unlock()
		return x
	}
	first := try(plan{})
	crashes, losses := []plan{{}}, []plan{{}}
	for id := 1; id <= len(sc.procs); id++ {
		for k := 1; k <= first.calls[id]; k++ {
			if b.crash {
				crashes = append(crashes, plan{crashProc: id, crashAt: k})
			}
			if !b.lost {
				continue
			}
			seen := map[error]bool{}
			for op := range first.mutations[[2]int{id, k}] {
				for _, err := range lossy[op] {
					if !seen[err] {
						seen[err] = true
						losses = append(losses, plan{lostProc: id, lostAt: k, lostErr: err})
					}
				}
			}
		}
	}
	var todo []plan
	for _, p := range crashes {
		for _, l := range losses {
			p.lostProc, p.lostAt, p.lostErr = l.lostProc, l.lostAt, l.lostErr
			switch {
			case p == plan{}:
				continue // that was the first
			case p.crashAt > 0 && p.lostAt > 0 && (!b.both || p.lostErr == syscall.EIO):
				continue
			case p.crashProc == p.lostProc && p.crashAt > 0 && p.lostAt >= p.crashAt:
				continue // a dead process makes no calls
			}
			todo = append(todo, p)
		}
	}
	work := make(chan plan)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for p := range work {
				try(p)
			}
		})
	}
	for _, p := range todo {
		work <- p
	}
	close(work)
	wg.Wait()
	ends.Range(func(any, any) bool { c.ends++; return true })
	return c, problem
}

// exploreDir is in memory where there is such a place: the schedules are many.
func exploreDir(t testing.TB) string {
	t.Helper()
	parent := *spoolDir
	if parent == "" {
		if in, err := os.Stat("/dev/shm"); err == nil && in.IsDir() {
			parent = "/dev/shm"
		}
	}
	dir, err := os.MkdirTemp(parent, "spool-explore-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
