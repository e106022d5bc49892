package main

import (
	"fmt"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// manyJobs is what the issue asks for; a run of minutes on a small machine.
func manyJobs() int {
	if testing.Short() {
		return 400
	}
	return 5000
}

// appendIDs enqueues n jobs that append their id to the file "ran".
func (r *rig) appendIDs(n int) (ids []string) {
	r.t.Helper()
	jobs := make([]job, n)
	for i := range jobs {
		id := fmt.Sprintf("job-%04d", i)
		jobs[i] = job{"id": id, "command": `echo ` + id + ` >>"$DIR/ran"`}
		ids = append(ids, id)
	}
	r.enqueue(jobs...)
	return ids
}

// Four processes with four slots each: every job once, and only once.
func TestManyWorkersRunEachJobOnce(t *testing.T) {
	r := newRig(t)
	ids := r.appendIDs(manyJobs())
	var workers []*proc
	for range 4 {
		workers = append(workers, r.worker("--count", "4"))
	}
	await(t, "all jobs are settled", r.settled)
	for _, w := range workers {
		w.drain()
	}

	ran := tally(r.lines("ran"))
	for _, id := range ids {
		if ran[id] != 1 {
			t.Errorf("job %s ran %d times", id, ran[id])
		}
	}
	for _, j := range r.list("done") {
		if j.Attempts != 1 || j.Lost != 0 {
			t.Errorf("job %s: %d attempts, %d lost", j.ID, j.Attempts, j.Lost)
		}
	}
	if st := r.status(); st.Done != len(ids) || st.Dead != 0 {
		t.Errorf("%d jobs done and %d dead of %d", st.Done, st.Dead, len(ids))
	}
	r.sound()
}

// The same with two of the workers killed in the middle and started again: a job
// runs more than once only if an attempt of it was lost with its worker.
func TestManyWorkersTwoKilled(t *testing.T) {
	r := newRig(t)
	ids := r.appendIDs(manyJobs())
	var workers []*proc
	for range 4 {
		workers = append(workers, r.worker("--count", "4"))
	}
	for i := range 2 {
		await(t, "a third more is done", func() bool { return r.status().Done >= (i+1)*len(ids)/3 })
		workers[i].kill()
		workers[i] = r.worker("--count", "4")
	}
	await(t, "all jobs are settled", r.settled)
	for _, w := range workers {
		w.drain()
	}

	ran := tally(r.lines("ran"))
	done := make(map[string]fsq.JobInfo)
	lost := 0
	for _, j := range r.list("done") {
		done[j.ID] = j
		lost += j.Lost
	}
	for _, id := range ids {
		j, ok := done[id]
		if !ok {
			t.Errorf("job %s is not done", id)
			continue
		}
		if j.Attempts != 1+j.Lost {
			t.Errorf("job %s: %d attempts, %d lost", id, j.Attempts, j.Lost)
		}
		if ran[id] < 1 || ran[id] > j.Attempts {
			t.Errorf("job %s ran %d times in %d attempts, %d of them lost", id, ran[id], j.Attempts, j.Lost)
		}
	}
	if len(done) != len(ids) || len(ran) != len(ids) {
		t.Errorf("%d jobs done and %d ran of %d", len(done), len(ran), len(ids))
	}
	if most := 2 * 4; lost > most {
		t.Errorf("%d attempts lost, two workers with four slots can lose %d", lost, most)
	}
	t.Logf("%d attempts were lost", lost)
	r.sound()
}
