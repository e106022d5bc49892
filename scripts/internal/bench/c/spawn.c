/* spawn N PROGRAM [ARG...]: starts the program N times, one after the other. */
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv) {
	int status;
	if (argc < 3)
		return 2;
	for (int n = atoi(argv[1]); n > 0; n--) {
		pid_t pid;
		if (posix_spawn(&pid, argv[2], 0, 0, argv + 2, environ))
			return 1;
		if (waitpid(pid, &status, 0) < 0 || status)
			return 1;
	}
	return 0;
}
