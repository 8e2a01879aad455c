/*
 * Runs a fuzz target over its corpus with the ordinary compiler, as part of
 * make check: replay_NAME reads tests/fuzz/corpus/NAME.  With arguments it
 * runs over these files instead.  Reports in TAP.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int
run_file(const char *path, int number)
{
	struct err e;
	size_t len;
	char *data;

	if (io_read_file(AT_FDCWD, path, INPUT_MAX, &data, &len, &e) < 0) {
		printf("not ok %d - %s: %s\n", number, path, e.msg);
		return -1;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)data, len);
	free(data);
	printf("ok %d - %s\n", number, path);
	return 0;
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
	printf("1..%d\n", n);
	for (i = 0; i < n; i++) {
		path = xasprintf("%s/%s", folder, names[i]->d_name);
		if (run_file(path, i + 1) < 0)
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
		printf("1..%d\n", argc - 1);
		for (i = 1; i < argc; i++)
			rv |= run_file(argv[i], i) < 0;
		return rv;
	}
	name = strrchr(argv[0], '_');
	if (name == NULL)
		return 1;
	folder = xasprintf("%s/tests/fuzz/corpus/%s", top != NULL ? top : ".",
	    name + 1);
	rv = run_folder(folder);
	free(folder);
	return rv;
}
