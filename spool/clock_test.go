package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The spool's time is the file server's, as far as its stamps have told.
func TestTheServersTime(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = true
	clock := driveClock(s)
	clock.add(-5 * time.Hour) // this host's clock is wrong, the stamps are not
	mustDo(t, s.Calibrate())
	right := func() bool { return time.Until(s.Now()).Abs() < hangGuard }
	if !right() {
		t.Errorf("it takes %s for now", s.Now())
	}
	clock.add(9 * time.Hour)
	if err := s.Put(item(s, "job-1")); err != nil || !right() {
		t.Errorf("after a put %s, %v", s.Now(), err)
	}
	l := mustRegister(t, s)
	clock.add(-24 * time.Hour)
	if err := l.Beat(); err != nil || !right() {
		t.Errorf("after a heartbeat %s, %v", s.Now(), err)
	}
	if left := files(t, s, tmpDir); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
}

func TestCalibrateOnce(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	asked := 0
	fail := errors.New("the server is away")
	s.ops.create = func(string, fs.FileMode) (file, error) { asked++; return nil, fail }
	s.network = false
	if err := s.Calibrate(); err != nil || asked != 0 {
		t.Errorf("a local file system is asked %d times, %v", asked, err)
	}
	s.network = true
	for range 3 {
		if err := s.Calibrate(); !errors.Is(err, fail) {
			t.Errorf("%v", err)
		}
	}
	if asked != 3 {
		t.Errorf("after errors it is asked %d times in 3 calls", asked)
	}
	s.ops.create = func(path string, perm fs.FileMode) (file, error) { asked++; return realOps().create(path, perm) }
	asked = 0
	for range 3 {
		mustDo(t, s.Calibrate())
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestALocalSpoolHasThisHostsTime(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = false
	clock := driveClock(s)
	clock.add(time.Hour)
	s.observe(time.Unix(0, 0), clock.now(), clock.now())
	if !s.Now().Equal(clock.now()) {
		t.Errorf("%s", s.Now())
	}
}

func TestTicksOnlyGrow(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	var last time.Time
	for i := range 30 {
		if i%10 == 9 {
			clock.add(-time.Hour)
		}
		if now := s.tick(); !now.After(last) {
			t.Fatalf("%s after %s", now, last)
		} else {
			last = now
		}
	}
	clock.add(10 * time.Hour)
	if now := s.tick(); !now.Equal(clock.now()) {
		t.Errorf("%s at %s", now, clock.now())
	}
}

// A sync that begins after a rename makes it durable, whoever asked for it: no call
// may be content with one that began before.
func TestSyncsAreShared(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []int{1, 3, 0} {
		t.Run(fmt.Sprint(atOnce), func(t *testing.T) {
			t.Parallel()
			testSharedSyncs(t, atOnce)
		})
	}
}

func testSharedSyncs(t *testing.T, atOnce int) {
	s := newSpool(t)
	s.syncs.atOnce = atOnce
	var renames, synced, calls atomic.Int64
	s.ops.syncDir = func(string) error {
		calls.Add(1)
		n := renames.Load() // what is there when it begins
		for {
			if old := synced.Load(); old >= n || synced.CompareAndSwap(old, n) {
				return nil
			}
			runtime.Gosched()
		}
	}
	var wg sync.WaitGroup
	const goroutines, each = 16, 200
	for range goroutines {
		wg.Go(func() {
			for range each {
				mine := renames.Add(1)
				if err := s.Sync(pendingDir); err != nil || synced.Load() < mine {
					t.Errorf("rename %d is not durable after its sync: %d, %v", mine, synced.Load(), err)
				}
			}
		})
	}
	wg.Wait()
	if calls.Load() > goroutines*each {
		t.Errorf("%d syncs for %d", calls.Load(), goroutines*each)
	}
}

func TestAFailedSyncIsEverybodysWhoSharedIt(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.syncs.atOnce = 1
	fail := errors.New("refused")
	begun, more := make(chan struct{}), make(chan struct{})
	var dirs []string
	first := true
	s.ops.syncDir = func(dir string) error {
		dirs = append(dirs, dir)
		if first {
			first = false
			close(begun)
			<-more
			return nil
		}
		return fail
	}
	one := make(chan error)
	go func() { one <- s.Sync(pendingDir) }()
	<-begun
	// These come too late for the first and share the second.
	others := make(chan error)
	for range 5 {
		go func() { others <- s.Sync(pendingDir) }()
	}
	eventually(t, "all wait for the next", func() bool {
		s.syncs.mu.Lock()
		defer s.syncs.mu.Unlock()
		return s.syncs.dirs[s.abs(pendingDir)].next != nil
	})
	close(more)
	if err := <-one; err != nil {
		t.Errorf("the first: %v", err)
	}
	for range 5 {
		if err := <-others; !errors.Is(err, fail) {
			t.Errorf("one that shared: %v", err)
		}
	}
	if len(dirs) < 2 || slices.Compact(dirs)[0] != s.abs(pendingDir) {
		t.Errorf("synced %q", dirs)
	}
}

// TestSlowStampsDoNotBendTheClock: a heartbeat that hung while the server was away is
// stamped when it is back, at the end of the call rather than in its middle.
func TestSlowStampsDoNotBendTheClock(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = true
	clock := driveClock(s)
	off := func() time.Duration { return s.Now().Sub(clock.now()) }
	hang := func(d, ahead time.Duration) {
		before := clock.now()
		clock.add(d)
		s.observe(clock.now().Add(ahead), before, clock.now())
	}
	hang(2*time.Minute, 5*time.Minute)
	if have := off(); have != 6*time.Minute {
		t.Errorf("the first stamp tells %s, late as it is", have)
	}
	hang(2*time.Second, 5*time.Minute-time.Second)
	if have := off(); have != 5*time.Minute {
		t.Errorf("a stamp in time tells %s", have)
	}
	hang(2*time.Minute, 5*time.Minute)
	hang(2*time.Second+1, 5*time.Minute)
	if have := off(); have != 5*time.Minute {
		t.Errorf("after late stamps: %s", have)
	}
	hang(0, -time.Hour) // the server's clock was set
	if have := off(); have != -time.Hour {
		t.Errorf("after the server's clock was set: %s", have)
	}
}
