package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// job is one that is enqueued or dropped, and what is expected of it.
type job struct {
	id          string
	doc         map[string]any
	fails       bool // it ends in dead/
	least, most int  // attempts of its own, lost ones not counted
	cancelled   bool // it ends as cancelled, whatever it did before
	unknown     bool // nobody heard that it was taken: it may be missing
}

func (j job) document() []byte {
	data, err := json.Marshal(j.doc)
	if err != nil {
		return nil // strings and numbers can always be written
	}
	return data
}

// Each attempt of a job writes down that it begins and how it ends: one short write to
// a file that is opened for appending, so lines of two jobs never mix. Where there is
// a /proc it writes the time since the boot behind it, which all hosts of one kernel
// share, and it also looks whether the attempt before it still runs, which it knows by
// its process's number and start (proc(5), field 22), and writes that down: a tenth
// of a second is allowed to a process that is just being killed, ten times.
const framed = `start_of() {
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- ${stat##*) }
  case $1 in Z | X) return 1 ;; esac
  start=${20}
}
now() { { read -r up _ </proc/uptime; } 2>/dev/null || up=; }
pid=$TORTURE/pids/$QUEUECTL_JOB_ID
if [ -e "$pid" ] && read -r before number began <"$pid"; then
  n=0
  while start_of "$number" && [ "$start" = "$began" ]; do
    [ $((n += 1)) -le 10 ] && sleep 0.1 && continue
    echo "O $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT $before" >>"$TORTURE/ran"
    break
  done
fi
start_of $$ && echo "$QUEUECTL_ATTEMPT $$ $start" >"$pid"
now
echo "S $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT $QUEUECTL_WORKER $up" >>"$TORTURE/ran"
( %s )
code=$?
now
echo "E $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT $code $up" >>"$TORTURE/ran"
exit $code`

// kinds are what jobs do; weight says how often.
var kinds = []struct {
	name   string
	weight int
	fill   func(j *job, r *rand.Rand) (script string)
}{
	{"quick", 45, func(*job, *rand.Rand) string { return ":" }},
	{"slow", 12, func(_ *job, r *rand.Rand) string { return fmt.Sprintf("sleep 0.%02d", 5+r.IntN(75)) }},
	// Longer than a lease: it still runs when its suspended worker is taken for dead.
	{"long", 2, func(_ *job, r *rand.Rand) string { return fmt.Sprintf("sleep %d", 2+r.IntN(4)) }},
	{"fails", 10, func(j *job, r *rand.Rand) string {
		retries := r.IntN(3)
		j.doc["max_retries"], j.doc["backoff_base"] = retries, 0.1
		j.fails, j.least, j.most = true, retries+1, retries+1
		return "exit 3"
	}},
	{"flaky", 10, func(j *job, _ *rand.Rand) string {
		// Fails once. If that attempt is lost, the next one is its first.
		j.doc["backoff_base"] = 0.1
		j.most = 2
		return `mkdir "$TORTURE/flaky/$QUEUECTL_JOB_ID" 2>/dev/null && exit 1; exit 0`
	}},
	{"forks", 10, func(*job, *rand.Rand) string { return "sleep 0.2 & ( sleep 0.1 & wait ) & wait" }},
	{"loud", 8, func(*job, *rand.Rand) string {
		return `head -c 300000 /dev/zero | tr '\0' x; echo; echo complaint >&2`
	}},
	{"late", 5, func(j *job, r *rand.Rand) string {
		j.doc["run_at"] = fmt.Sprintf("+%dms", r.IntN(5000))
		return ":"
	}},
}

// makeJobs makes n jobs. The first part of an id is its kind.
func makeJobs(n int, r *rand.Rand) []job {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	jobs := make([]job, n)
	for i := range jobs {
		at := r.IntN(total)
		for _, k := range kinds {
			if at -= k.weight; at >= 0 {
				continue
			}
			j := job{id: fmt.Sprintf("%s-%05d", k.name, i), doc: map[string]any{}, least: 1, most: 1}
			script := fmt.Sprintf(framed, k.fill(&j, r))
			j.doc["command"] = script
			if r.IntN(10) == 0 {
				j.doc["command"] = []string{"sh", "-c", script}
			}
			j.doc["priority"] = r.IntN(5) - 2
			jobs[i] = j
			break
		}
	}
	return jobs
}
