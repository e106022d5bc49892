package fsq

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/queuectl/queuectl/spool"
)

// Element says which element of which job array a job is.
type Element struct {
	ID    string `json:"id"` // the array's; the job's is ID-Index
	Index int    `json:"index"`
	Count int    `json:"count"` // elements of the array
	Min   int    `json:"min"`   // its lowest index
	Max   int    `json:"max"`   // and its highest
	Step  int    `json:"step"`  // between two indices; 1 if they are not of one range
	Limit int    `json:"limit"` // elements under way at a time; 0: no limit
}

// limited reports whether an element may have to wait for others.
func (e *Element) limited() bool { return e != nil && e.Limit > 0 && e.Limit < e.Count }

const wantElement = `an object of id, index, count, min, max, step and limit`

func parseElement(v value) (*Element, error) {
	if !v.isObject() {
		return nil, v.mustBe(wantElement)
	}
	all, err := members(v.raw, v.field+".")
	if err != nil {
		return nil, err
	}
	e := &Element{Count: 1, Step: 1}
	numbers := map[string]*int{
		"index": &e.Index, "count": &e.Count, "min": &e.Min, "max": &e.Max, "step": &e.Step, "limit": &e.Limit,
	}
	for _, m := range all {
		name := strings.TrimPrefix(m.field, v.field+".")
		switch n, known := numbers[name]; {
		case known:
			*n, err = m.whole(wantIndex)
		case name == "id":
			e.ID, err = m.nonEmptyText()
		default:
			err = fieldErrorf(m.field, "is not known: an array is %s", wantElement)
		}
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

var wantIndex = "a whole number from 0 to " + strconv.Itoa(spool.MaxIndex)

func (j *Job) checkArray() error {
	e := j.Array
	if e == nil {
		return nil
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"index", e.Index}, {"count", e.Count}, {"min", e.Min}, {"max", e.Max}, {"step", e.Step}, {"limit", e.Limit}} {
		if f.n < 0 || f.n > spool.MaxIndex {
			return mustBe("array."+f.name, wantIndex, strconv.Itoa(f.n))
		}
	}
	id := spool.ElementID(e.ID, e.Index)
	if err := spool.ValidateID(id); err != nil || e.ID == "" {
		return mustBe("array.id", "an id, at most some ten bytes shorter than a job's", quote(e.ID))
	}
	if j.ID != "" && j.ID != id {
		return mustBe("id", quote(id)+", as its array says", quote(j.ID))
	}
	return nil
}

// MaxArray is how many elements an array may have. Each is a file; more can only be a
// slip of the finger.
const MaxArray = 1_000_000

// ArraySpec says which elements an array has.
type ArraySpec struct {
	Indices []int // ascending, each once
	Step    int   // of the one range that they are, else 1
	Limit   int   // elements under way at a time; 0: no limit
}

const wantArray = "indices such as 0-99, 0-99:10 or 1,3,7, and perhaps %4 for at most four at a time"

// ParseArray reads the indices of an array as sbatch(1) does: numbers and ranges with
// commas between, a range perhaps with a step, and "%" with the limit behind it all.
// Errors begin with "must be".
func ParseArray(s string) (ArraySpec, error) {
	bad := fmt.Errorf("must be %s, not %s", wantArray, quote(s))
	spec := ArraySpec{Step: 1}
	list, limit, limited := strings.Cut(s, "%")
	if limited {
		n, ok := parseIndex(limit)
		if !ok || n == 0 {
			return spec, bad
		}
		spec.Limit = n
	}
	parts := strings.Split(list, ",")
	for _, part := range parts {
		lo, hi, step, ok := parseRange(part)
		if !ok {
			return spec, bad
		}
		if (hi-lo)/step >= MaxArray || len(spec.Indices)+(hi-lo)/step >= MaxArray {
			return spec, fmt.Errorf("must be of at most %d elements, not %s", MaxArray, quote(s))
		}
		if len(parts) == 1 {
			spec.Step = step
		}
		for i := lo; i <= hi; i += step {
			spec.Indices = append(spec.Indices, i)
		}
	}
	slices.Sort(spec.Indices)
	spec.Indices = slices.Compact(spec.Indices)
	return spec, nil
}

// parseRange reads "7", "0-99" or "0-99:10".
func parseRange(s string) (lo, hi, step int, ok bool) {
	bounds, by, stepped := strings.Cut(s, ":")
	from, to, isRange := strings.Cut(bounds, "-")
	step = 1
	if lo, ok = parseIndex(from); !ok {
		return lo, hi, step, false
	}
	if hi = lo; isRange {
		if hi, ok = parseIndex(to); !ok || hi < lo {
			return lo, hi, step, false
		}
	}
	if stepped {
		step, ok = parseIndex(by)
		return lo, hi, step, ok && isRange && step > 0
	}
	return lo, hi, step, true
}

// parseIndex reads a number of digits alone: a sign or a blank is a slip.
func parseIndex(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= spool.MaxIndex
}

// arrayChunk is how many elements are put at a time: enough to share the cost of an
// fsync, and few enough for the first to run while the last are being made.
const arrayChunk = 4096

// EnqueueArray is Enqueue for all elements of an array. The job's ID is the array's; one
// is made if it has none. each is told of the elements in their order, some thousand at
// a time, when they are durable; its error ends the call. A job that fails does not keep
// the others back.
func (q *Queue) EnqueueArray(ctx context.Context, j Job, spec ArraySpec, opt EnqueueOptions, each func([]Enqueued) error) error {
	if len(spec.Indices) == 0 || !slices.IsSorted(spec.Indices) {
		return fieldErrorf("array", "must have indices in ascending order")
	}
	if j.ID == "" {
		if err := q.s.Calibrate(); err != nil {
			return err
		}
		j.ID = q.s.NewID()
	}
	element := Element{
		ID: j.ID, Count: len(spec.Indices), Min: spec.Indices[0], Max: spec.Indices[len(spec.Indices)-1],
		Step: spec.Step, Limit: spec.Limit,
	}
	for at := 0; at < len(spec.Indices); at += arrayChunk {
		part := spec.Indices[at:min(at+arrayChunk, len(spec.Indices))]
		jobs := make([]Job, len(part))
		for i, index := range part {
			e := element
			e.Index = index
			jobs[i] = j
			jobs[i].ID, jobs[i].Array = "", &e
		}
		chunk := opt
		chunk.turns = max(spec.Limit-at, 0)
		if err := each(q.EnqueueWith(ctx, jobs, chunk)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// shareTurns gives turns to elements of arrays that wait although their array has some
// left.
func (q *Queue) shareTurns() (given []spool.Name, waiting bool, err error) {
	entries, waiting, err := q.s.ShareTurns(q.turnsOf)
	for _, e := range entries {
		given = append(given, e.Name)
	}
	return given, waiting, err
}

// turnsOf is how many turns the array of an element has. What is no job, or of no array
// that has a limit, waits for nothing: a worker will see what is wrong with it.
func (q *Queue) turnsOf(e spool.Entry) (int, error) {
	data, err := q.s.Read(e)
	if err != nil {
		return 0, err
	}
	j, err := ParseJob(data, q.s.Now())
	if err != nil || j.Array == nil || j.Array.Limit == 0 {
		return MaxArray, nil //nolint:nilerr // the worker that gets it sets it aside, with the reason
	}
	return j.Array.Limit, nil
}
