package dashboard

import (
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// compressed are the types of answers that get much smaller: an eighth of a page is left,
// which counts over a tunnel. Streams and downloads go as they are.
var compressed = []string{"text/html", "text/css", "text/javascript", "text/plain", "application/json", "image/svg+xml"}

// worthwhile is from how many bytes on an answer of known length is compressed: less fits
// into one packet.
const worthwhile = 1400

// compress answers with gzip who takes it. What the size of an encrypted answer tells is of
// no use to a stranger (the attack called BREACH): he cannot have a browser ask for a page
// with the session of somebody else, whose cookie is for requests from these pages alone.
func compress(next http.Handler) http.Handler {
	writers := sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // that level is one
		return z
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if r.Method != http.MethodGet && r.Method != http.MethodPost || r.Header.Get("Range") != "" || !takesGzip(r.Header.Get("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		c := &compressor{ResponseWriter: w, writers: &writers}
		defer c.close()
		next.ServeHTTP(c, r)
	})
}

// takesGzip reads an Accept-Encoding (RFC 9110, section 12.5.3) as far as that goes.
func takesGzip(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, weighed := strings.CutPrefix(strings.TrimSpace(params), "q=")
			v, err := strconv.ParseFloat(q, 64)
			return !weighed || err == nil && v > 0
		}
	}
	return false
}

// compressor decides when the header is complete.
type compressor struct {
	http.ResponseWriter
	writers *sync.Pool
	decided bool
	z       *gzip.Writer // nil: the answer goes as it is
}

// Unwrap is for http.ResponseController, which sets deadlines. What is flushed by it is not
// compressed: streams are not.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader sends the header, and begins to compress if that is worth it.
func (c *compressor) WriteHeader(status int) {
	if !c.decided && status >= http.StatusOK {
		c.decided = true
		if h := c.Header(); smaller(h, status) {
			h.Set("Content-Encoding", "gzip")
			h.Del("Content-Length")
			if tag := h.Get("ETag"); tag != "" {
				h.Set("ETag", "W/"+strings.TrimPrefix(tag, "W/")) // the same, but not byte by byte
			}
			c.z, _ = c.writers.Get().(*gzip.Writer)
			c.z.Reset(c.ResponseWriter)
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

// smaller reports whether an answer with this header gets much smaller.
func smaller(h http.Header, status int) bool {
	if status == http.StatusNoContent || status == http.StatusNotModified || h.Get("Content-Encoding") != "" || h.Get("Content-Disposition") != "" {
		return false
	}
	if n, err := strconv.Atoi(h.Get("Content-Length")); err == nil && n < worthwhile {
		return false
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	for _, k := range compressed {
		if kind == k {
			return true
		}
	}
	return false
}

// Write sends a part of the answer.
func (c *compressor) Write(p []byte) (int, error) {
	if !c.decided {
		c.WriteHeader(http.StatusOK)
	}
	if c.z == nil {
		return c.ResponseWriter.Write(p)
	}
	return c.z.Write(p)
}

func (c *compressor) close() {
	if c.z != nil {
		_ = c.z.Close() // who asked has gone
		c.writers.Put(c.z)
	}
}
