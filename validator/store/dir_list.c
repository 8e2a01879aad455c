/*
 * Listing a folder of a store, in store threads.  Names come from disk and
 * are only taken if the caller's grammar has them.
 */
#include "config.h"

#include "validator/store/dir_list.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

/* Some file systems leave the type to stat(). */
static int
has_type(int fd, const struct dirent *d, unsigned char type)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == type;
	return fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    IFTODT(st.st_mode) == type;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
dir_list(int fd, unsigned char type, bool (*wanted)(const char *name),
    struct name_list *out, struct err *e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy != -1 ? fdopendir(copy) : NULL;
	struct dirent *d;
	size_t cap = 0;
	int rv = 0;

	*out = (struct name_list){0};
	if (dir == NULL) {
		err_errno(e, errno, "list a folder");
		io_close(&copy);
		return -1;
	}
	while (rv == 0 && (errno = 0, d = readdir(dir)) != NULL) {
		if (!wanted(d->d_name) || !has_type(fd, d, type))
			continue;
		if (out->n == cap) {
			cap = cap > 0 ? 2 * cap : 16;
			rv = mem_grow(&out->v, cap, sizeof(*out->v), e);
		}
		if (rv == 0)
			out->v[out->n++] = xstrdup(d->d_name);
	}
	if (rv == 0 && errno != 0)
		rv = err_errno(e, errno, "list a folder");
	closedir(dir);
	if (rv == -1)
		name_list_fini(out);
	else if (out->n > 1)
		qsort(out->v, out->n, sizeof(*out->v), compare);
	return rv;
}

void
name_list_fini(struct name_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct name_list){0};
}
