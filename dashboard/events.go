package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxViewers bounds how many pages are told of changes at a time: each is a connection.
	maxViewers = 1000
	// beatEvery is shorter than what proxies wait for a silent connection: nginx a minute.
	beatEvery = 15 * time.Second
	// eventTime is how long a viewer may take for one event before he is left.
	eventTime = 10 * time.Second
	// reconnect is how long a browser waits before it asks again, in milliseconds.
	reconnect = 2000
)

// changeEvent says that there is something new to see.
type changeEvent struct {
	Version uint64    `json:"version"`
	At      time.Time `json:"at"`
	CostMS  float64   `json:"cost_ms"`
	Polled  bool      `json:"polled"`
}

// events tells a viewer of each new version of the snapshot, as server-sent events, until
// he leaves. All viewers share one scan.
func (d *Dashboard) events(w http.ResponseWriter, r *http.Request) {
	if d.viewers.Add(1) > maxViewers {
		d.viewers.Add(-1)
		w.Header().Set("Retry-After", "10")
		d.refuse(w, r, http.StatusServiceUnavailable, fmt.Sprintf("%d pages are open already", maxViewers))
		return
	}
	defer d.viewers.Add(-1)
	round, leave := d.scan.look()
	defer leave()
	if round == nil {
		d.refuse(w, r, http.StatusServiceUnavailable, errClosed.Error())
		return
	}
	news, forget := round.listen()
	defer forget()
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // it stays open for as long as somebody looks
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx
	send := func(text string) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(eventTime))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	if !send(fmt.Sprintf("retry: %d\n\n", reconnect)) {
		return
	}
	// Who comes back says what he has seen last, and so does a page when it is first shown.
	seen, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	if v := r.URL.Query().Get("version"); v != "" && seen == 0 {
		seen, _ = strconv.ParseUint(v, 10, 64)
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	ready := round.ready
	for {
		select {
		case <-r.Context().Done():
			return
		case <-d.streams.Done():
			return
		case <-round.ctx.Done():
			return
		case <-beat.C:
			if !send(": still here\n\n") {
				return
			}
			continue
		case <-ready:
			ready = nil
		case <-news:
		}
		s := round.snapshot()
		if s.Version == seen {
			continue
		}
		seen = s.Version
		data, err := json.Marshal(changeEvent{s.Version, s.At, s.costMS(), s.Polled})
		if err != nil || !send(fmt.Sprintf("event: change\nid: %d\ndata: %s\n\n", seen, data)) {
			return
		}
	}
}

// costMS is Cost in milliseconds.
func (s *snapshot) costMS() float64 { return float64(s.Cost.Microseconds()) / 1000 }
