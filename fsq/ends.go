package fsq

import "time"

// endsTick is how exactly it is known when something ended: so that a second that moves
// along is a second, within a tenth.
const endsTick = 100 * time.Millisecond

// ends counts what ended in the last LiveSeconds, in the same memory however much that is.
// The zero value is ready.
type ends struct {
	ticks [LiveSeconds * int(time.Second/endsTick)]struct {
		tick         int64 // since 1970; what is older is not of this round
		done, failed int32
	}
}

func (x *ends) add(at time.Time, failed bool) {
	tick := at.UnixMilli() / endsTick.Milliseconds()
	if tick < 0 {
		return
	}
	t := &x.ticks[tick%int64(len(x.ticks))]
	if t.tick > tick {
		return // longer ago than what is counted
	}
	if t.tick < tick {
		t.tick, t.done, t.failed = tick, 0, 0
	}
	if failed {
		t.failed++
	} else {
		t.done++
	}
}

// count adds up each of the last seconds, the newest last.
func (x *ends) count(now time.Time, done, failed []int) {
	tick := now.UnixMilli() / endsTick.Milliseconds()
	for i := range x.ticks {
		t := &x.ticks[i]
		if age := tick - t.tick; age >= 0 && age < int64(len(x.ticks)) {
			at := LiveSeconds - 1 - int(age/int64(time.Second/endsTick))
			done[at] += int(t.done)
			failed[at] += int(t.failed)
		}
	}
}
