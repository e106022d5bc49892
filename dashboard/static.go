package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

//go:embed static
var staticFiles embed.FS

// static serves one of the embedded files, and lists none. They need no token: what is in
// them is in the program.
func (d *Dashboard) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	data, err := staticFiles.ReadFile("static/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+staticVersion()+`"`)
	// Pages name the content that they want, and it is that for ever. Without the name the
	// browser asks each time: another version of the program is seen at once.
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == staticVersion() {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

// staticVersion stands for the content of all the files.
var staticVersion = sync.OnceValue(func() string {
	sum := sha256.New()
	files, _ := staticFiles.ReadDir("static")
	for _, f := range files {
		data, _ := staticFiles.ReadFile("static/" + f.Name())
		_, _ = sum.Write(append([]byte(f.Name()+"\x00"), data...))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
})
