package dashboard

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Who takes gzip gets the same answer, smaller; streams, downloads, parts and what is tiny go
// as they are.
func TestCompressed(t *testing.T) {
	r := newRig(t)
	r.mixed()
	for _, c := range []struct {
		path    string
		headers []string
		want    bool
	}{
		{"/", []string{"Accept-Encoding", "gzip, deflate, br"}, true},
		{"/static/app.js", []string{"Accept-Encoding", "br, GZIP;q=0.5"}, true},
		{"/static/style.css", []string{"Accept-Encoding", "gzip", "Range", "bytes=0-99"}, false},
		{"/api/v1/jobs", []string{"Accept-Encoding", "gzip"}, true},
		{"/metrics", []string{"Accept-Encoding", "gzip"}, true},
		{"/", []string{"Accept-Encoding", "gzip;q=0"}, false},
		{"/", []string{"Accept-Encoding", "deflate"}, false},
		{"/", nil, false},
		{"/static/icon.svg", []string{"Accept-Encoding", "gzip"}, false},
	} {
		w := r.get(c.path, c.headers...)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.want {
			t.Errorf("%s %v: compressed is %v: %v", c.path, c.headers, got, w.Header())
			continue
		}
		if !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%s: Vary is %v", c.path, w.Header()["Vary"])
		}
		if !c.want {
			continue
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		body, err := io.ReadAll(z)
		if err != nil || w.Header().Get("Content-Length") != "" {
			t.Errorf("%s: %v, %v", c.path, err, w.Header())
		}
		if plain := r.get(c.path); strings.HasPrefix(c.path, "/static/") && plain.Body.String() != string(body) {
			t.Errorf("%s: another content", c.path)
		}
	}
	// The browser's copy is still the same one.
	tag := r.get("/static/app.js", "Accept-Encoding", "gzip").Header().Get("ETag")
	if w := r.get("/static/app.js", "Accept-Encoding", "gzip", "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%s: %d, %d bytes", tag, w.Code, w.Body.Len())
	}
}
