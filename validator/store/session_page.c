/*
 * What of a session outlives a SIGKILL of the validator, in its own runtime
 * folder: only the validator writes there, but an older version of it may
 * have, so the head is checked.
 */
#include "config.h"

#include "validator/store/session_page.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/err.h"
#include "common/io.h"
#include "common/path.h"
#include "validator/store/bitmap.h"

#define ID_TEXT_LEN 17

static void
id_text(uint64_t id, char dst[ID_TEXT_LEN])
{
	snprintf(dst, ID_TEXT_LEN, "%016" PRIx64, id);
}

int
session_run_dir_open(int dirfd, uint64_t id, struct err *e)
{
	char name[ID_TEXT_LEN];

	id_text(id, name);
	if (path_mkdirs(dirfd, name, 0700, e) == -1)
		return -1;
	return path_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0, e);
}

int
session_run_dir_remove(int dirfd, uint64_t id, struct err *e)
{
	char name[ID_TEXT_LEN];

	id_text(id, name);
	return path_remove_tree(dirfd, name, e);
}

int
session_page_open(struct session_page **out, int run_fd, struct err *e)
{
	struct session_page *page;
	struct stat st;
	int fd, rc, rv = -1;

	*out = NULL;
	fd = io_openat(run_fd, "page", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		err_errno(e, errno, "stat the session page");
		goto out;
	}
	if (st.st_size != 0 && st.st_size != (off_t)sizeof(*page)) {
		err_set(e, ERR_CORRUPT, "session page has the wrong size");
		goto out;
	}
	rc = posix_fallocate(fd, 0, (off_t)sizeof(*page));
	if (rc != 0) {
		err_errno(e, rc, "allocate the session page");
		goto out;
	}
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0);
	if (page == MAP_FAILED) {
		err_errno(e, errno, "map the session page");
		goto out;
	}
	/* A new one, or one whose maker died before it wrote the head. */
	if (page->magic == 0 && page->version == 0) {
		page->version = SESSION_PAGE_VERSION;
		page->magic = SESSION_PAGE_MAGIC;
	}
	if (page->magic != SESSION_PAGE_MAGIC ||
	    page->version != SESSION_PAGE_VERSION) {
		err_set(e, ERR_CORRUPT, "session page of another version");
		munmap(page, sizeof(*page));
		goto out;
	}
	*out = page;
	rv = 0;
out:
	io_close(&fd);
	return rv;
}

void
session_page_close(struct session_page **page)
{
	if (*page != NULL)
		munmap(*page, sizeof(**page));
	*page = NULL;
}

int
session_bitmaps_open(struct bitmap *checked, struct bitmap *referenced,
    int run_fd, uint32_t n, uint64_t positions, struct err *e)
{
	char name[32];

	snprintf(name, sizeof(name), "checked.%" PRIu32, n);
	if (bitmap_open(checked, run_fd, name, positions, e) == -1)
		return -1;
	snprintf(name, sizeof(name), "referenced.%" PRIu32, n);
	if (bitmap_open(referenced, run_fd, name, positions, e) == -1) {
		bitmap_fini(checked);
		return -1;
	}
	return 0;
}
