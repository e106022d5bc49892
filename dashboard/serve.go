package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTime  = 5 * time.Second
	readTime    = 30 * time.Second
	answerTime  = time.Minute // for a page or a call; what may take longer says so itself
	idleTime    = 2 * time.Minute
	maxHeader   = 64 << 10
	shutdownFor = 3 * time.Second // what is under way may end
)

// Serve answers requests until ctx is done, and closes the listener and the Dashboard. It
// gives requests that are under way some seconds, and then the error is nil.
func (d *Dashboard) Serve(ctx context.Context, l net.Listener) error {
	defer d.Close()
	srv := &http.Server{
		Handler: d, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(d.opt.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	go d.Warm(ctx)
	select {
	case err := <-ended:
		return fmt.Errorf("serve the dashboard: %w", err)
	case <-ctx.Done():
	}
	d.endStreams()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownFor)
	defer cancel()
	err := srv.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if end := <-ended; err == nil && !errors.Is(end, http.ErrServerClosed) {
		err = end
	}
	if err != nil {
		return fmt.Errorf("stop the dashboard: %w", err)
	}
	return nil
}
