#ifndef TESTS_FUZZ_FOLDER_H
#define TESTS_FUZZ_FOLDER_H

/* A folder of the target's own, for code that reads files by their names;
 * made at the first use, gone at exit. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/path.h"
#include "tests/fuzz/fuzz.h"

static char fuzz_folder_path[256];
static int fuzz_folder_parent = -1;

static inline void
fuzz_folder_remove(void)
{
	path_remove_tree(fuzz_folder_parent, strrchr(fuzz_folder_path, '/') + 1,
	    NULL);
}

/* Its descriptor, which stays open. */
static inline int
fuzz_folder(void)
{
	static int fd = -1;
	const char *tmp = getenv("TMPDIR");

	if (fd != -1)
		return fd;
	if (tmp == NULL)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(fuzz_folder_path, sizeof(fuzz_folder_path),
	    "%s/holdfast-fuzz-XXXXXX", tmp);
	FUZZ_REQUIRE(mkdtemp(fuzz_folder_path) != NULL);
	fuzz_folder_parent = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = open(fuzz_folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_REQUIRE(fuzz_folder_parent != -1 && fd != -1);
	atexit(fuzz_folder_remove);
	return fd;
}

/* A file in it, or in a folder below that is there. */
static inline void
fuzz_folder_put(const char *name, const void *data, size_t len)
{
	int fd = openat(fuzz_folder(), name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_REQUIRE(fd != -1);
	FUZZ_REQUIRE(io_write_full(fd, data, len, NULL) == 0);
	close(fd);
}

#endif
