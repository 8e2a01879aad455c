/*
 * Shared memory for payloads.  A descriptor that comes from a peer is looked
 * at before it is mapped: only a memory file whose size is sealed cannot
 * raise SIGBUS.
 */
#include "config.h"

#include "common/arena.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static int
map(struct arena *a, struct err *e)
{
	size_t len = (size_t)a->nblocks * ARENA_BLOCK;
	void *p = mmap(NULL, len, PROT_READ | (a->writable ? PROT_WRITE : 0),
	    MAP_SHARED, a->fd, 0);

	if (p == MAP_FAILED) {
		err_errno(e, errno, "map an arena of %zu bytes", len);
		arena_fini(a);
		return -1;
	}
	a->base = p;
	/* Payloads of tenants do not belong into a core file. */
	madvise(p, len, MADV_DONTDUMP);
	return 0;
}

int
arena_create(struct arena *a, const char *name, uint32_t nblocks, struct err *e)
{
	*a = (struct arena){.fd = -1, .nblocks = nblocks, .writable = 1};
	a->fd = io_memfd(name, (size_t)nblocks * ARENA_BLOCK,
	    SIZE_SEALS | F_SEAL_SEAL, e);
	if (a->fd == -1)
		return -1;
	return map(a, e);
}

int
arena_map(struct arena *a, int fd, uint32_t max_blocks, int writable,
    struct err *e)
{
	struct statfs fs;
	struct stat st;
	int seals;

	*a = (struct arena){.fd = fd, .writable = writable};
	seals = fcntl(fd, F_GET_SEALS);
	/* Of the sealable kinds only hugetlbfs is not tmpfs: its pages may be
	 * missing at the first touch. */
	if (seals == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    fstatfs(fd, &fs) == -1 || fs.f_type != TMPFS_MAGIC) {
		err_set(e, ERR_PROTO, "arena is not a memory file");
		goto fail;
	}
	if ((seals & SIZE_SEALS) != SIZE_SEALS ||
	    (writable && (seals & F_SEAL_WRITE))) {
		err_set(e, ERR_PROTO, "arena has the wrong seals");
		goto fail;
	}
	if (st.st_size <= 0 || st.st_size % ARENA_BLOCK != 0 ||
	    st.st_size / ARENA_BLOCK > max_blocks) {
		err_set(e, ERR_PROTO, "arena has the wrong size");
		goto fail;
	}
	a->nblocks = (uint32_t)(st.st_size / ARENA_BLOCK);
	return map(a, e);
fail:
	arena_fini(a);
	return -1;
}

void
arena_fd_close(struct arena *a)
{
	io_close(&a->fd);
}

void
arena_empty(struct arena *a)
{
	madvise(a->base, (size_t)a->nblocks * ARENA_BLOCK, MADV_REMOVE);
}

void
arena_fini(struct arena *a)
{
	if (a->base != NULL)
		munmap(a->base, (size_t)a->nblocks * ARENA_BLOCK);
	a->base = NULL;
	a->nblocks = 0;
	io_close(&a->fd);
}

void
arena_use_init(struct arena_use *u, uint32_t nblocks)
{
	u->map = xcalloc(nblocks, 1);
	u->nblocks = nblocks;
	u->nfree = nblocks;
	u->hint = 0;
}

void
arena_use_fini(struct arena_use *u)
{
	free(u->map);
	*u = (struct arena_use){0};
}

static int
in_range(const struct arena_use *u, uint32_t block, uint32_t n)
{
	return n > 0 && n <= u->nblocks && block <= u->nblocks - n;
}

/* Whether all n blocks have that value. */
static int
all_are(const struct arena_use *u, uint32_t block, uint32_t n, uint8_t value)
{
	return memchr(u->map + block, !value, n) == NULL;
}

static void
set_used(struct arena_use *u, uint32_t block, uint32_t n)
{
	memset(u->map + block, 1, n);
	u->nfree -= n;
	while (u->hint < u->nblocks && u->map[u->hint])
		u->hint++;
}

int
arena_take(struct arena_use *u, uint32_t n, uint32_t *block_out)
{
	uint32_t block, run = 0;

	if (n == 0 || n > u->nfree)
		return -1;
	for (block = u->hint; block < u->nblocks; block++) {
		run = u->map[block] ? 0 : run + 1;
		if (run == n) {
			*block_out = block + 1 - n;
			set_used(u, *block_out, n);
			return 0;
		}
	}
	return -1;
}

int
arena_claim(struct arena_use *u, uint32_t block, uint32_t n)
{
	if (!in_range(u, block, n) || !all_are(u, block, n, 0))
		return -1;
	set_used(u, block, n);
	return 0;
}

int
arena_release(struct arena_use *u, uint32_t block, uint32_t n)
{
	if (!in_range(u, block, n) || !all_are(u, block, n, 1))
		return -1;
	memset(u->map + block, 0, n);
	u->nfree += n;
	if (block < u->hint)
		u->hint = block;
	return 0;
}
