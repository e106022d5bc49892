// Command put-beanstalkd puts one job into beanstalkd.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/beanstalkd/go-beanstalk"
)

func main() {
	c, err := beanstalk.Dial("unix", os.Args[1])
	if err == nil {
		_, err = c.Put([]byte(os.Args[2]), 1, 0, time.Minute)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "put-beanstalkd:", err)
		os.Exit(1)
	}
}
