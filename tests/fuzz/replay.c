/*
 * Runs a fuzz target over its corpus with the ordinary compiler, as part of
 * make check: fuzz_NAME reads tests/fuzz/corpus/NAME.  With arguments it runs
 * over these files instead.  Then over each again with memory that runs out at
 * the first allocation, the second and so on: the target must end as
 * docs/reliability.md says, and lose no memory.  Reports in TAP.
 */
#include "config.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/proc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/nomem.h"

#define INPUT_MAX (64u << 20)
#define TELL_MAX 16384

/* Every allocation up to here, then fewer and fewer: each is a process.  With
 * HOLDFAST_LONG=1 every one. */
#define EACH 100
#define THEN 16

/* How a child with little memory ends, beside PROC_EXIT_FATAL. */
enum outcome {
	OUTCOME_ENOUGH = 0, /* it needs no more allocations than that */
	OUTCOME_CLEAN = 20, /* an error, and nothing is lost */
	OUTCOME_LEAK = 21,
};

/* Twice, since a library may keep what it allocates at its first error. */
static enum outcome
run_without(unsigned long n, const uint8_t *data, size_t len)
{
	long blocks;

	nomem_arm(n);
	LLVMFuzzerTestOneInput(data, len);
	if (!nomem_hit())
		return OUTCOME_ENOUGH;
	blocks = nomem_blocks();
	nomem_arm(n);
	LLVMFuzzerTestOneInput(data, len);
	nomem_arm(0);
	return nomem_blocks() > blocks ? OUTCOME_LEAK : OUTCOME_CLEAN;
}

static int
is_documented(int status, const char *said)
{
	if (!WIFEXITED(status))
		return 0;
	if (WEXITSTATUS(status) == PROC_EXIT_FATAL)
		return strstr(said, "out of memory") != NULL;
	return WEXITSTATUS(status) == OUTCOME_ENOUGH ||
	    WEXITSTATUS(status) == OUTCOME_CLEAN;
}

/* 1 as long as there is a further allocation, 0, -1 for a failure. */
static int
try_without(unsigned long n, const uint8_t *data, size_t len)
{
	static char said[TELL_MAX];
	char how[64];
	int fd = memfd_create("stderr", MFD_CLOEXEC), status;
	pid_t pid = fork();
	ssize_t got;

	if (pid == 0) {
		dup2(fd, STDERR_FILENO);
		_exit(run_without(n, data, len));
	}
	if (fd == -1 || pid == -1 || waitpid(pid, &status, 0) == -1)
		return -1;
	got = pread(fd, said, sizeof(said) - 1, 0);
	close(fd);
	said[got > 0 ? got : 0] = '\0';
	if (is_documented(status, said))
		return WEXITSTATUS(status) != OUTCOME_ENOUGH;
	fprintf(stderr, "without allocation %lu: %s%s\n%s\n", n,
	    proc_exit_str(status, how, sizeof(how)),
	    WIFEXITED(status) && WEXITSTATUS(status) == OUTCOME_LEAK
		? " (memory is lost)"
		: "",
	    said);
	return -1;
}

static int
run_file(const char *path, int number)
{
	const int every = getenv("HOLDFAST_LONG") != NULL;
	unsigned long n = 1;
	struct err e;
	size_t len;
	char *data;
	int rv;

	if (io_read_file(AT_FDCWD, path, INPUT_MAX, &data, &len, &e) < 0) {
		printf("not ok %d - %s: %s\n", number, path, e.msg);
		return -1;
	}
	/* What is allocated once for all inputs is allocated now. */
	LLVMFuzzerTestOneInput((const uint8_t *)data, len);
	printf("ok %d - %s\n", number, path);
	fflush(stdout);
	while ((rv = try_without(n, (const uint8_t *)data, len)) == 1)
		n += n < EACH || every ? 1 : n / THEN;
	printf("%sok %d - %s without memory\n", rv == 0 ? "" : "not ",
	    number + 1, path);
	free(data);
	return rv;
}

static int
not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int
run_folder(const char *folder)
{
	struct dirent **names;
	int n = scandir(folder, &names, not_hidden, alphasort), i, rv = 0;
	char *path;

	if (n <= 0) {
		printf("Bail out! no corpus in %s\n", folder);
		return 1;
	}
	printf("1..%d\n", 2 * n);
	for (i = 0; i < n; i++) {
		path = xasprintf("%s/%s", folder, names[i]->d_name);
		if (run_file(path, 2 * i + 1) < 0)
			rv = 1;
		free(path);
		free(names[i]);
	}
	free(names);
	return rv;
}

int
main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *name;
	char *folder;
	int i, rv = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1) {
		printf("1..%d\n", 2 * (argc - 1));
		for (i = 1; i < argc; i++)
			rv |= run_file(argv[i], 2 * i - 1) < 0;
		return rv;
	}
	name = strrchr(argv[0], '/');
	name = name != NULL ? name + 1 : argv[0];
	if (strncmp(name, "fuzz_", 5) != 0)
		return 1;
	folder = xasprintf("%s/tests/fuzz/corpus/%s", top != NULL ? top : ".",
	    name + 5);
	rv = run_folder(folder);
	free(folder);
	return rv;
}
