package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/queuectl/queuectl/fsq"
)

// schemaVersion is that of the objects that queuectl --json prints: they are the same.
const schemaVersion = `{"schema_version":1,`

// writeJSON answers with v, which must be an object with members.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Who has gone gets no answer.
	_, _ = w.Write([]byte(schemaVersion))
	_, _ = w.Write(bytes.TrimPrefix(plain.Bytes(), []byte("{")))
}

// errorDoc is the answer when something is refused, or went wrong.
type errorDoc struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, errorDoc{err.Error()})
}

// badRequest is a mistake of who asks.
type badRequest struct{ problem string }

func (e *badRequest) Error() string { return e.problem }

func badf(format string, args ...any) error { return &badRequest{fmt.Sprintf(format, args...)} }

// statusOfError is the HTTP status that err leads to.
func statusOfError(err error) int {
	var (
		bad       *badRequest
		field     *fsq.FieldError
		key       *fsq.UnknownKeyError
		state     *fsq.UnknownStateError
		ambiguous *ambiguousError
		large     *http.MaxBytesError
		no        *forbidden
		is        = func(targets ...error) bool {
			for _, t := range targets {
				if errors.Is(err, t) {
					return true
				}
			}
			return false
		}
	)
	switch {
	case is(errGone):
		return http.StatusServiceUnavailable
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &bad), errors.As(err, &field), errors.As(err, &key), errors.As(err, &state), is(fsq.ErrInvalidQueue, fsq.ErrSignal):
		return http.StatusBadRequest
	case is(fsq.ErrNotFound, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.As(err, &ambiguous), is(fsq.ErrState, fsq.ErrDuplicate, fsq.ErrQueueInUse):
		return http.StatusConflict
	case errors.As(err, &no), is(fs.ErrPermission):
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// quote is a stranger's text in a message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
