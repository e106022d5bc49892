package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
	"github.com/queuectl/queuectl/spool"
)

// A fixture is a spool with jobs of all states, as an operator has them after some days.
// Its files are written one by one, without the syncs of an enqueue: 100,000 take some
// seconds.
type fixture struct {
	dir    string
	now    time.Time
	rnd    *rand.Rand
	spools map[string]*spool.Spool
	n      int

	anyDead string // a dead job of the default queue, with output
}

// The texts of hostile jobs. Each page that shows them must show them, and no more.
const (
	hostileID      = `x"><img src=x onerror=window.pwned=1>`
	hostileTag     = `"quo'ted" <b onmouseover=window.pwned=1>`
	hostileCommand = "echo '<img src=x onerror=window.pwned=1>' \"<script>window.pwned=1</script>\" \u202egnp.exe\u2066 \x1b[31mred\x1b[0m &amp; {{.}} `${window.pwned=1}`"
	hostileError   = "<svg onload=window.pwned=1> \u202eevil\u202c \x1b]0;title\x07 javascript:window.pwned=1"
)

func newFixture(t testing.TB, jobs int) *fixture {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	// Times are whole and the same in each run but for the day: screenshots differ less.
	f := &fixture{dir: dir, now: time.Now(), rnd: rand.New(rand.NewPCG(1, 2)), spools: map[string]*spool.Spool{}}
	names := []string{fsq.DefaultQueue}
	if jobs > 0 {
		names = append(names, "mail", "reports")
	}
	for _, name := range names {
		_, err := fsq.OpenQueue(dir, name, fsq.DefaultConfig())
		must(t, err)
		f.spools[name], err = spool.OpenQueue(dir, name)
		must(t, err)
	}
	if jobs == 0 {
		return f
	}
	f.fill(t, jobs)
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kinds are what people queue.
var kinds = []struct {
	id, command, queue string
	tags               []string
	run                float64 // median seconds
	fails              []string
}{
	{"encode", "ffmpeg -hide_banner -i /media/in/%04d.mov -c:v libx264 -preset slow -crf 20 -c:a aac /media/out/%04d.mp4", "default", []string{"video", "batch"}, 95, []string{"exit status 1", "timed out after 10m"}},
	{"backup", "restic backup --tag nightly /srv/data/%04d", "default", []string{"nightly"}, 40, []string{"exit status 3", "exit status 130"}},
	{"thumb", "convert /media/in/%04d.jpg -resize 640x640 /media/thumbs/%04d.webp", "default", []string{"images"}, 0.8, []string{"exit status 1"}},
	{"sync", "rsync -a --delete /srv/www/%04d/ web2:/srv/www/%04d/", "default", nil, 6, []string{"exit status 23", "exit status 255"}},
	{"welcome", "send-mail --template welcome --to user-%04d@example.org", "mail", []string{"transactional"}, 0.4, []string{"exit status 69: smtp.example.org refused the connection", "exit status 100"}},
	{"digest", "send-mail --template weekly-digest --list %04d", "mail", []string{"bulk", "weekly"}, 3, []string{"exit status 75"}},
	{"report", "python3 -m reports.monthly --customer %04d --format pdf", "reports", []string{"monthly", "customer"}, 22, []string{"exit status 1: Traceback (most recent call last): KeyError: 'currency'", "killed by SIGKILL"}},
}

func (f *fixture) fill(t testing.TB, jobs int) {
	t.Helper()
	ago := func(d time.Duration) time.Time { return f.now.Add(-d) }
	retries, timeout := 3, 600*time.Second
	job := func(k int, id string) fsq.Job {
		kind := kinds[k]
		command := kind.command
		if n := strings.Count(command, "%04d"); n > 0 {
			args := make([]any, n)
			for i := range args {
				args[i] = f.n
			}
			command = fmt.Sprintf(command, args...)
		}
		return fsq.Job{ID: id, Command: fsq.Command{Shell: command}, Tags: kind.tags, MaxRetries: &retries, Timeout: timeout}
	}

	// What runs: claims of two workers that live, and one of a worker that does not.
	running := min(9, jobs/20)
	f.run(t, job, running)
	f.lose(t, job)

	f.hostile(t)

	rest := jobs - f.n
	for i := range rest {
		k := f.rnd.IntN(len(kinds))
		kind := kinds[k]
		id := fmt.Sprintf("%s-%05d", kind.id, f.n)
		j := job(k, id)
		run := time.Duration(kind.run * (0.4 + f.rnd.ExpFloat64()) * float64(time.Second))
		wait := time.Duration(f.rnd.ExpFloat64() * float64(8*time.Second))
		age := time.Duration(f.rnd.Float64() * f.rnd.Float64() * float64(72*time.Hour))
		n := spool.Name{ID: id, Allowed: retries + 1, Priority: []int{0, 0, 0, 0, 5, 10, -10}[f.rnd.IntN(7)]}
		j.Priority = n.Priority
		j.EnqueuedAt = ago(age + 5*run + wait + 10*time.Minute).UTC().Truncate(time.Millisecond)
		fail := kind.fails[f.rnd.IntN(len(kind.fails))]
		switch share := i * 100 / rest; {
		case share < 12: // due
			n.Due = ago(time.Duration(f.rnd.Float64() * float64(4*time.Minute)))
			j.EnqueuedAt = n.Due
			f.put(t, kind.queue, spool.Pending, n, j)
		case share < 17: // for later
			n.Due = f.now.Add(time.Duration(f.rnd.Float64() * float64(50*time.Minute)))
			f.put(t, kind.queue, spool.Pending, n, j)
		case share < 20:
			n.Due, n.Attempt = f.now.Add(time.Duration(f.rnd.Float64()*float64(10*time.Minute))), 1+f.rnd.IntN(2)
			f.put(t, kind.queue, spool.Pending, n, j)
			f.records(t, kind.queue, n, run, fail, false)
		case share < 22:
			n.Due, n.Held = ago(age), true
			f.put(t, kind.queue, spool.Pending, n, j)
		case share < 27:
			n.Due, n.Attempt, n.Outcome, n.Run, n.Wait = ago(age), retries+1, outcomeOf(fail), run, wait
			f.put(t, kind.queue, spool.Dead, n, j)
			if f.anyDead == "" && kind.id == "backup" {
				f.anyDead = id
			}
			f.records(t, kind.queue, n, run, fail, f.anyDead == id)
		case share < 28:
			n.Due, n.Outcome = ago(age), spool.OutcomeCancelled
			f.put(t, kind.queue, spool.Dead, n, j)
		default:
			n.Due, n.Attempt, n.Outcome, n.Run, n.Wait = ago(age), 1, "done", run, wait
			f.put(t, kind.queue, spool.Done, n, j)
			if i%97 == 0 {
				f.records(t, kind.queue, n, run, "", true)
			}
		}
	}
	for i, name := range []string{fsq.DefaultQueue, "mail", "reports"} {
		f.history(t, name, float64(min(jobs, 20_000))/float64(8*(i+1)))
	}
	q, err := fsq.OpenExistingQueue(f.dir, "reports", fsq.DefaultConfig())
	must(t, err)
	must(t, q.Pause(fsq.Pause{Reason: "database upgrade, ask Ann", By: "ann@web1", At: ago(25 * time.Minute), Until: f.now.Add(95 * time.Minute)}))
}

func outcomeOf(fail string) string {
	switch {
	case strings.HasPrefix(fail, "timed out"):
		return "timeout"
	case strings.HasPrefix(fail, "killed"):
		return "failed"
	}
	return "failed"
}

// hostile puts jobs whose every text is an attack.
func (f *fixture) hostile(t testing.TB) {
	t.Helper()
	for i, st := range []spool.State{spool.Dead, spool.Pending} {
		id := hostileID
		if i > 0 {
			id = "שלום-<b>עולם"
		}
		j := fsq.Job{
			ID: id, Command: fsq.Command{Shell: hostileCommand}, Tags: []string{hostileTag, "</title>"},
			Env:      map[string]string{"SECRET": "<script>window.pwned=1</script>"},
			Metadata: json.RawMessage(`{"big":12345678901234567890.123456789,"html":"</script><script>window.pwned=1</script>"}`),
		}
		n := spool.Name{ID: id, Allowed: 1, Due: f.now.Add(-time.Minute)}
		if st == spool.Dead {
			n.Attempt, n.Outcome, n.Run = 1, "failed", 1234*time.Millisecond
			f.put(t, fsq.DefaultQueue, st, n, j)
			f.records(t, fsq.DefaultQueue, n, n.Run, hostileError, true)
			s := f.spools[fsq.DefaultQueue]
			long := strings.Repeat("A very long line without a break. <script>window.pwned=1</script> ", (1<<20)/66)
			f.rewrite(t, s, id, 1, "err", "before\n"+long+"\nafter the long line\n"+
				"\x1b[1;31mred and bold\x1b[0m \x1b[38;5;208morange\x1b[0m \x1b[38;2;10;200;30mtrue colour\x1b[0m\n"+
				"10%\r50%\r100% loaded\n\x1b]0;a title\x07\x1b[2J\x1b[10;10Hmoved\x1b[31m<script>window.pwned=1</script>\x1b[0m\n\u202eright to left\n\xff\xfe not UTF-8\n")
			continue
		}
		n.Held = true
		f.put(t, fsq.DefaultQueue, st, n, j)
	}
}

func (f *fixture) rewrite(t testing.TB, s *spool.Spool, id string, attempt int, kind, text string) {
	t.Helper()
	_ = os.Remove(s.LogPath(id, attempt, kind))
	must(t, s.WriteLog(id, attempt, kind, []byte(text)))
}

// put writes a job's file where the name and the state say.
func (f *fixture) put(t testing.TB, queue string, state spool.State, n spool.Name, j fsq.Job) {
	t.Helper()
	f.n++
	n.Due = spool.Truncate(n.Due)
	data, err := json.Marshal(j)
	must(t, err)
	dir := filepath.Join(fsq.QueueDir(f.dir, queue), string(state))
	if state == spool.Done {
		dir = filepath.Join(dir, n.Due.Format("20060102"), n.Due.Format("15"))
		must(t, os.MkdirAll(dir, 0o700))
	}
	must(t, os.WriteFile(filepath.Join(dir, n.String()), append(data, '\n'), 0o600))
}

// records writes what attempts leave behind.
func (f *fixture) records(t testing.TB, queue string, n spool.Name, run time.Duration, fail string, output bool) {
	t.Helper()
	s := f.spools[queue]
	last := min(n.Attempt, 4)
	for a := 1; a <= last; a++ {
		ended := n.Due.Add(-time.Duration(last-a) * 90 * time.Second)
		if ended.After(f.now) {
			ended = f.now.Add(-time.Duration(last-a+1) * time.Minute)
		}
		started := ended.Add(-run)
		code := 0
		r := fsq.Attempt{
			JobID: n.ID, Number: a, Outcome: "done", Worker: "web1-3f9a2c", Host: "web1", PID: 4000 + a,
			StartedAt: &started, EndedAt: &ended, WaitSeconds: ptrTo(n.Wait.Seconds() + 0.4), DurationSeconds: ptrTo(run.Seconds()), Next: "done",
		}
		if fail != "" {
			code = 1
			_, _ = fmt.Sscanf(fail, "exit status %d", &code)
			r.Outcome, r.Error, r.Next = outcomeOf(fail), fail, "retry"
			if strings.HasPrefix(fail, "killed by ") {
				r.Signal = strings.TrimPrefix(fail, "killed by ")
			}
			if n.Outcome != "" && a == last {
				r.Next = "dead"
			}
		}
		if r.Signal == "" {
			r.ExitCode = &code
		}
		if output {
			out := sampleOutput
			r.StdoutBytes, r.StderrBytes = int64(len(out)), 40
			f.rewrite(t, s, n.ID, a, "out", out)
			if fail != "" {
				f.rewrite(t, s, n.ID, a, "err", "\x1b[31merror:\x1b[0m the connection was reset\n")
			}
		}
		data, err := json.Marshal(r)
		must(t, err)
		f.rewrite(t, s, n.ID, a, "json", string(data)+"\n")
	}
}

func ptrTo[T any](v T) *T { return &v }

const sampleOutput = "\x1b[2m10:42:07\x1b[0m \x1b[1mrestic 0.16.4\x1b[0m repository 8f2c opened\n" +
	"\x1b[2m10:42:07\x1b[0m \x1b[36minfo\x1b[0m  using parent snapshot 4bb1f0a2\n" +
	"scanned  1,204 files\rscanned 88,310 files\rscanned 412,906 files in 0:31\n" +
	"\x1b[2m10:42:38\x1b[0m \x1b[33mwarn\x1b[0m  /srv/data/cache/.lock: permission denied\n" +
	"\x1b[2m10:42:41\x1b[0m \x1b[36minfo\x1b[0m  Files:        182 new,    31 changed, 412693 unmodified\n" +
	"\x1b[2m10:42:41\x1b[0m \x1b[36minfo\x1b[0m  Added to the repository: 1.204 GiB (412.8 MiB stored)\n" +
	"\x1b[2m10:42:47\x1b[0m \x1b[32mok\x1b[0m    snapshot \x1b[1m9f31c07b\x1b[0m saved\n"

// run claims jobs as two workers would that have them now.
func (f *fixture) run(t testing.TB, job func(int, string) fsq.Job, count int) {
	t.Helper()
	leases := map[string][]*spool.Lease{}
	for i := range count {
		k := []int{0, 1, 0, 4, 3, 0, 2, 5, 1}[i%9]
		kind := kinds[k]
		s := f.spools[kind.queue]
		if len(leases[kind.queue]) == 0 {
			l, err := s.Register(10, fsq.Version, time.Hour)
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
			leases[kind.queue] = append(leases[kind.queue], l)
		}
		l := leases[kind.queue][0]
		id := fmt.Sprintf("%s-run-%d", kind.id, i)
		j := job(k, id)
		// A claim's time cannot be made up, so that all run for some seconds: what differs is
		// how long they may.
		j.Timeout = time.Duration([]int{600, 20, 30, 0, 90, 45, 7, 15, 3600}[i%9]) * time.Second
		j.TimeoutSet = true
		n := spool.Name{ID: id, Allowed: 4, Attempt: 1, Due: f.now.Add(-time.Duration(i*61+20) * time.Second)}
		j.EnqueuedAt = spool.Truncate(n.Due)
		f.claimed(t, kind.queue, l.Worker(), n, j)
		f.rewrite(t, s, id, 1, "progress", []string{"42% encoding pass 1 of 2\n", "87\n", "uploading part 7\n", "5%\n"}[i%4])
		f.rewrite(t, s, id, 1, "out", sampleOutput)
	}
}

// claimed puts a job's file among those that a worker runs.
func (f *fixture) claimed(t testing.TB, queue, worker string, n spool.Name, j fsq.Job) {
	t.Helper()
	f.n++
	n.Due = spool.Truncate(n.Due)
	data, err := json.Marshal(j)
	must(t, err)
	dir := filepath.Join(fsq.QueueDir(f.dir, queue), string(spool.Processing), worker)
	must(t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, n.String())
	must(t, os.WriteFile(path, append(data, '\n'), 0o600))
}

// lose leaves a worker of another host behind that was last heard of long ago, with a job.
func (f *fixture) lose(t testing.TB, job func(int, string) fsq.Job) {
	t.Helper()
	worker := "web7.2211.abcdefghijklm"
	holder := spool.Holder{
		Worker: worker, Host: "web7", BootID: "another", PID: 2211, Slots: 4, Version: "0.1.0",
		StartedAt: spool.Truncate(f.now.Add(-26 * time.Hour)), LeaseMS: 180_000,
	}
	data, err := json.Marshal(holder)
	must(t, err)
	path := filepath.Join(fsq.QueueDir(f.dir, fsq.DefaultQueue), filepath.FromSlash(spool.WorkerPath(worker)))
	must(t, os.WriteFile(path, data, 0o600))
	old := f.now.Add(-14 * time.Minute)
	must(t, os.Chtimes(path, old, old))
	n := spool.Name{ID: "sync-lost", Allowed: 4, Attempt: 1, Due: f.now.Add(-20 * time.Minute)}
	f.claimed(t, fsq.DefaultQueue, worker, n, job(3, n.ID))
}

// history makes up what ended in the last month: much by day and little at night.
func (f *fixture) history(t testing.TB, queue string, perMinute float64) {
	t.Helper()
	type bucket map[string]any
	var buckets []bucket
	now := f.now.Truncate(time.Minute)
	add := func(from, to time.Time, minutes int64) {
		width := time.Duration(minutes) * time.Minute
		for at := from.Truncate(width); at.Before(to); at = at.Add(width) {
			day := 1 + math.Sin(2*math.Pi*float64(at.Unix()%86400)/86400-2)
			wave := day * (1 + .4*math.Sin(float64(at.Unix())/1900)) * (.7 + .6*f.rnd.Float64())
			done := int64(perMinute * wave * float64(minutes))
			failed := int64(float64(done) * .04 * f.rnd.ExpFloat64())
			spread := func(from int) map[string]any { // from a tenth of a decade on, with most of it soon and a long tail
				n := make([]int64, 16)
				for i := range n {
					n[i] = int64(float64(done)*math.Exp(-float64((i-7)*(i-7))/24)/8 + f.rnd.Float64()*.6)
				}
				return map[string]any{"ms": done * 900, "from": from, "n": n}
			}
			buckets = append(buckets, bucket{
				"at": at.Unix(), "minutes": minutes, "done": done, "failed": failed, "dead": failed / 3, "wait": spread(16 + int(5*wave)), "run": spread(26),
				"looks": 1, "pending": int64(perMinute * wave * wave * 3), "scheduled": int64(perMinute * 5), "processing": int64(4 + 6*day), "dead_jobs": 12,
			})
		}
	}
	month, week, day := now.Add(-31*24*time.Hour), now.Add(-7*24*time.Hour).Truncate(time.Hour), now.Add(-25*time.Hour).Truncate(time.Hour)
	add(month, week, 60)
	add(week, day, 10)
	add(day, now, 1)
	data, err := json.Marshal(map[string]any{
		"format": 1, "since": month.Unix(), "final": now.Unix(), "before": bucket{"at": 0, "minutes": 0}, "buckets": buckets,
	})
	must(t, err)
	path := filepath.Join(fsq.QueueDir(f.dir, queue), filepath.FromSlash(spool.HistoryPath()))
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, data, 0o600))
}
