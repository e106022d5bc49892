// Package dashboard is a live web page over a spool, and the same as JSON: an
// http.Handler that any program can serve, under any base path.
//
//	h, err := dashboard.New(dashboard.Options{Dir: "/var/spool/queuectl", BasePath: "/queue"})
//	mux.Handle("/queue/", h)
//
// Who asks passes the guard first (guard.go), then the routes (dashboard.go) lead to a page
// (page*.go), to the JSON of /api/v1 (api.go, act.go; API.md describes it), to the events
// (events.go), the metrics (metrics.go) or the state of health (health.go). All that is
// looked at over and over comes from one snapshot, which is taken once however many look
// (snapshot.go).
package dashboard
