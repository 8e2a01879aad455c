#ifndef TESTS_AUTH_SCRATCH_H
#define TESTS_AUTH_SCRATCH_H

/* A folder of a test's own, gone at its end. */

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/path.h"

#define SCRATCH_MAX 256

static inline void
scratch_make(char dir[SCRATCH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, SCRATCH_MAX, "%s/holdfast-XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	cr_assert_not_null(mkdtemp(dir));
}

static inline void
scratch_remove(char dir[SCRATCH_MAX])
{
	char *slash = strrchr(dir, '/');
	struct err e;
	int fd;

	*slash = '\0';
	fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, &e);
	cr_assert_neq(fd, -1);
	cr_expect_eq(path_remove_tree(fd, slash + 1, &e), 0, "%s", e.msg);
	io_close(&fd);
}

#endif
