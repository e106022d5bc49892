# What is measured of dirq: PATH WHAT [ARGUMENT]. Figures are printed as a list.
import os
import sys
import time

from dirq.QueueSimple import QueueSimple

path, what = sys.argv[1:3]
queue = QueueSimple(path)


def each():
    """Elements that this process has claimed, with their content."""
    for name in queue:
        if queue.lock(name):
            yield name, queue.get(name)


def fill(n):
    for _ in range(n):
        queue.add("true")


def wait(pid):
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("a process failed")


def shell(command):
    wait(os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ))


if what == "put":
    queue.add(sys.argv[3])
elif what == "add":
    window, n, begun = float(sys.argv[3]), 0, time.monotonic()
    while time.monotonic() - begun < window:
        queue.add("true")
        n += 1
    print([n / (time.monotonic() - begun)])
elif what == "fill":
    n, begun = int(sys.argv[3]), time.monotonic()
    fill(n)
    print([n / (time.monotonic() - begun)])
elif what == "handle":
    n = int(sys.argv[3])
    fill(n)
    begun, done = time.monotonic(), 0
    for name, _ in each():
        queue.remove(name)
        done += 1
    took = time.monotonic() - begun
    if done != n:
        sys.exit("%d of %d jobs are done" % (done, n))
    print([n / took])
elif what == "run":
    n = int(sys.argv[3])
    fill(n)
    begun, children = time.monotonic(), []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            for name, _ in each():
                shell("true")
                queue.remove(name)
            os._exit(0)
        children.append(pid)
    for pid in children:
        wait(pid)
    took = time.monotonic() - begun
    if queue.count() != 0:
        sys.exit("%d jobs are left" % queue.count())
    print([n / took])
elif what == "claims":
    fill(int(sys.argv[3]))
    begun, first, done = time.monotonic(), None, 0
    for name, _ in each():
        first = first or time.monotonic()
        queue.remove(name)
        done += 1
        if done == 1000:
            break
    print([1000 / (time.monotonic() - first), (first - begun) * 1000])
elif what == "serve":
    print("ready", flush=True)
    while True:
        for name, command in each():
            shell(command)
            queue.remove(name)
        time.sleep(float(sys.argv[3]))
elif what == "feed":
    print("ready", flush=True)
    for line in sys.stdin:
        queue.add(line.rstrip("\n"))
