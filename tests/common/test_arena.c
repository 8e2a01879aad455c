#include "config.h"

#include "common/arena.h"

#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/io.h"

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

Test(arena, both_sides_see_the_same_bytes)
{
	struct arena a, b, ro;
	struct err e;

	cr_assert(arena_create(&a, "test", 4, &e) == 0);
	cr_assert(arena_map(&b, dup(a.fd), 4, 1, &e) == 0, "%s", e.msg);
	cr_assert(arena_map(&ro, dup(a.fd), 4, 0, &e) == 0);
	memcpy(arena_at(&a, 3, 5), "hello", 5);
	cr_assert(memcmp(arena_at(&b, 3, 5), "hello", 5) == 0);
	cr_assert(memcmp(arena_at(&ro, 3, 5), "hello", 5) == 0);
	arena_fd_close(&b);
	cr_assert(b.fd == -1 && arena_at(&b, 3, 1)[0] == 'h');
	cr_assert(ftruncate(a.fd, 0) == -1, "the size is sealed");
	arena_fini(&a);
	arena_fini(&b);
	arena_fini(&b);
	arena_fini(&ro);
}

Test(arena, read_only_means_it)
{
	struct arena a, ro;
	struct err e;
	int fds[2];

	cr_assert(arena_create(&a, "test", 1, &e) == 0);
	cr_assert(arena_map(&ro, dup(a.fd), 1, 0, &e) == 0);
	cr_assert(io_pipe(fds, &e) == 0);
	cr_assert(write(fds[1], "x", 1) == 1);
	cr_assert(read(fds[0], ro.base, 1) == -1 && errno == EFAULT);
	cr_assert(read(fds[0], a.base, 1) == 1 && ro.base[0] == 'x');
	io_close(&fds[0]);
	io_close(&fds[1]);
	arena_fini(&a);
	arena_fini(&ro);
}

Test(arena, ranges)
{
	struct arena a = {.fd = -1, .nblocks = 4};

	cr_expect(arena_range_ok(&a, 0, 1));
	cr_expect(arena_range_ok(&a, 0, 4 * ARENA_BLOCK));
	cr_expect(!arena_range_ok(&a, 0, 4 * ARENA_BLOCK + 1));
	cr_expect(arena_range_ok(&a, 3, ARENA_BLOCK));
	cr_expect(!arena_range_ok(&a, 3, ARENA_BLOCK + 1));
	cr_expect(!arena_range_ok(&a, 4, 1));
	cr_expect(!arena_range_ok(&a, UINT32_MAX, 1));
	cr_expect(!arena_range_ok(&a, 1, SIZE_MAX));
	cr_expect(!arena_range_ok(&a, 0, 0));
	cr_expect(arena_at(&a, 4, 1) == NULL);
	cr_expect(arena_blocks_for(1) == 1);
	cr_expect(arena_blocks_for(ARENA_BLOCK) == 1);
	cr_expect(arena_blocks_for(ARENA_BLOCK + 1) == 2);
}

static void
refused(int fd, int writable)
{
	struct arena a;
	struct err e;

	cr_expect(arena_map(&a, fd, 16, writable, &e) == -1);
	cr_expect(e.code == ERR_PROTO, "%s", e.msg);
	cr_expect(fcntl(fd, F_GETFD) == -1, "taken also on failure");
	cr_expect(a.base == NULL && a.fd == -1);
}

Test(arena, foreign_descriptors_are_refused)
{
	char name[] = "/tmp/holdfast-arena-XXXXXX";
	struct err e;
	int fd, fds[2];

	refused(io_memfd("x", ARENA_BLOCK, 0, &e), 0);
	refused(io_memfd("x", ARENA_BLOCK, F_SEAL_SHRINK, &e), 0);
	refused(io_memfd("x", ARENA_BLOCK, F_SEAL_GROW, &e), 0);
	refused(io_memfd("x", ARENA_BLOCK, SIZE_SEALS | F_SEAL_WRITE, &e), 1);
	refused(io_memfd("x", ARENA_BLOCK + 1, SIZE_SEALS, &e), 0);
	refused(io_memfd("x", 0, SIZE_SEALS, &e), 0);
	refused(io_memfd("x", (size_t)17 * ARENA_BLOCK, SIZE_SEALS, &e), 0);
	fd = mkstemp(name);
	cr_assert(fd >= 0 && unlink(name) == 0);
	cr_assert(ftruncate(fd, ARENA_BLOCK) == 0);
	refused(fd, 0);
	cr_assert(pipe(fds) == 0);
	close(fds[1]);
	refused(fds[0], 0);
	refused(open("/", O_RDONLY | O_DIRECTORY), 0);
	/* Pages of hugetlbfs may be missing when touched. */
	fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (fd >= 0) {
		cr_assert(ftruncate(fd, 2 << 20) == 0);
		cr_assert(fcntl(fd, F_ADD_SEALS, SIZE_SEALS) == 0);
		struct arena a;
		cr_expect(arena_map(&a, fd, 1024, 0, &e) == -1);
		cr_expect(e.code == ERR_PROTO);
	}
}

Test(arena, take_is_first_fit_and_counts)
{
	struct arena_use u;
	uint32_t b;

	arena_use_init(&u, 8);
	cr_expect(arena_take(&u, 3, &b) == 0 && b == 0);
	cr_expect(arena_take(&u, 3, &b) == 0 && b == 3);
	cr_expect(arena_take(&u, 3, &b) == -1);
	cr_expect(u.nfree == 2);
	cr_expect(arena_release(&u, 0, 3) == 0);
	cr_expect(arena_take(&u, 4, &b) == -1, "free, but not in one piece");
	cr_expect(arena_take(&u, 1, &b) == 0 && b == 0);
	cr_expect(arena_take(&u, 2, &b) == 0 && b == 1);
	cr_expect(arena_take(&u, 2, &b) == 0 && b == 6);
	cr_expect(u.nfree == 0);
	cr_expect(arena_take(&u, 1, &b) == -1);
	cr_expect(arena_take(&u, 0, &b) == -1);
	arena_use_fini(&u);
}

Test(arena, claims_may_not_overlap)
{
	struct arena_use u;

	arena_use_init(&u, 8);
	cr_expect(arena_claim(&u, 2, 3) == 0);
	cr_expect(arena_claim(&u, 4, 1) == -1);
	cr_expect(arena_claim(&u, 0, 3) == -1);
	cr_expect(arena_claim(&u, 0, 2) == 0);
	cr_expect(arena_claim(&u, 8, 1) == -1);
	cr_expect(arena_claim(&u, 7, 2) == -1);
	cr_expect(arena_claim(&u, 7, UINT32_MAX) == -1);
	cr_expect(arena_claim(&u, UINT32_MAX, 2) == -1);
	cr_expect(arena_claim(&u, 6, 0) == -1);
	cr_expect(u.nfree == 3);
	cr_expect(arena_release(&u, 4, 2) == -1, "not all of it is in use");
	cr_expect(arena_release(&u, 7, 2) == -1);
	cr_expect(arena_release(&u, 2, 3) == 0);
	cr_expect(arena_release(&u, 2, 3) == -1, "twice");
	cr_expect(u.nfree == 6);
	arena_use_fini(&u);
}
