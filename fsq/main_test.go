package fsq

import (
	"fmt"
	"os"
	"testing"
)

// reexec holds what a test has a second process do: reexecEnv set to a key
// makes the test binary run that function instead of the tests.
var reexec = map[string]func(){}

const reexecEnv = "FSQ_TEST_REEXEC"

func TestMain(m *testing.M) {
	if key := os.Getenv(reexecEnv); key != "" {
		f, ok := reexec[key]
		if !ok {
			fmt.Fprintf(os.Stderr, "nothing registered as %q\n", key)
			os.Exit(2)
		}
		// What f starts must not turn into f again.
		_ = os.Unsetenv(reexecEnv)
		f()
		os.Exit(0)
	}
	os.Exit(m.Run())
}
