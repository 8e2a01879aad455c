/* What a session may refer to, and where the validator will find it. */
#include "config.h"

#include "server/known_chunks.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"
#include "common/io.h"
#include "common/msg.h"

static struct known_chunks k;
static struct err e;

static struct digest
digest(uint32_t n)
{
	struct digest d = {{0}};

	memcpy(d.b, &n, sizeof(n));
	d.b[31] = 1;
	return d;
}

/* A memory file with an index of n entries: digest(first), ... */
static int
fixed_file(uint32_t first, uint32_t n, uint64_t *size_out)
{
	size_t len = INDEX_HEADER_LEN + (size_t)n * FIXED_INDEX_ENTRY_LEN;
	uint8_t uuid[INDEX_UUID_LEN] = {1}, *buf = calloc(1, len);
	struct digest d;
	uint32_t i;
	int fd;

	fixed_index_put_header(buf, uuid, 1, NULL,
	    (uint64_t)n * FIXED_INDEX_CHUNK_SIZE, FIXED_INDEX_CHUNK_SIZE);
	for (i = 0; i < n; i++) {
		d = digest(first + i);
		memcpy(buf + fixed_index_entry_pos(i), d.b, DIGEST_LEN);
	}
	fd = io_memfd_data("index", buf, len, &e);
	cr_assert_neq(fd, -1);
	free(buf);
	*size_out = len;
	return fd;
}

static int
dynamic_file(uint32_t first, uint32_t n, uint64_t *size_out)
{
	size_t len = INDEX_HEADER_LEN + (size_t)n * DYNAMIC_INDEX_ENTRY_LEN;
	uint8_t uuid[INDEX_UUID_LEN] = {1}, *buf = calloc(1, len);
	struct digest d;
	uint32_t i;
	int fd;

	dynamic_index_put_header(buf, uuid, 1, NULL);
	for (i = 0; i < n; i++) {
		d = digest(first + i);
		dynamic_index_put_entry(buf + dynamic_index_entry_pos(i),
		    1000 * (uint64_t)(i + 1), &d);
	}
	fd = io_memfd_data("index", buf, len, &e);
	cr_assert_neq(fd, -1);
	free(buf);
	*size_out = len;
	return fd;
}

static void
add_all(uint32_t file, enum archive_kind kind, int fd, uint64_t size)
{
	int more;

	cr_assert_eq(known_add_file(&k, file, kind, fd, size, &e), 0, "%s",
	    e.msg);
	while ((more = known_file_step(&k, file, &e)) == 1)
		;
	cr_assert_eq(more, 0);
	close(fd);
}

static void
expect(uint32_t n, uint32_t file, uint32_t position)
{
	struct known_source src;
	struct digest d = digest(n);

	cr_assert(known_get(&k, &d, &src), "%u is not known", n);
	cr_assert_eq(src.file, file);
	cr_assert_eq(src.position, position);
}

static void
expect_none(uint32_t n)
{
	struct known_source src;
	struct digest d = digest(n);

	cr_assert_not(known_get(&k, &d, &src));
}

static void
begin(void)
{
	known_init(&k);
}

static void
end(void)
{
	known_fini(&k);
}

TestSuite(known_chunks, .init = begin, .fini = end);

Test(known_chunks, deposits_with_holes)
{
	struct digest d;
	uint32_t i;

	for (i = 0; i < 20000; i += 3) {
		d = digest(i);
		cr_assert_eq(known_add_deposit(&k, i, &d, &e), 0);
	}
	for (i = 0; i < 20000; i++) {
		if (i % 3 == 0)
			expect(i, IPC_SOURCE_DEPOSIT, i);
		else
			expect_none(i);
	}
	d = digest(1);
	cr_assert_eq(known_add_deposit(&k, 1u << 28, &d, &e), -1);
	cr_assert_eq(e.code, ERR_LIMIT);
}

Test(known_chunks, files_of_both_kinds_and_deposits)
{
	struct digest d = digest(7);
	uint64_t size;
	int fd;

	fd = fixed_file(1000, 500, &size);
	add_all(4, ARCHIVE_FIXED, fd, size);
	fd = dynamic_file(3000, 700, &size);
	add_all(9, ARCHIVE_DYNAMIC, fd, size);
	cr_assert_eq(known_add_deposit(&k, 0, &d, &e), 0);
	expect(1000, 4, 0);
	expect(1499, 4, 499);
	expect(3000, 9, 0);
	expect(3699, 9, 699);
	expect(7, IPC_SOURCE_DEPOSIT, 0);
	expect_none(1500);
	expect_none(3700);
}

Test(known_chunks, the_first_source_of_a_digest_stays)
{
	struct digest d = digest(1001);
	uint64_t size;
	int fd;

	fd = fixed_file(1000, 10, &size);
	add_all(1, ARCHIVE_FIXED, fd, size);
	cr_assert_eq(known_add_deposit(&k, 5, &d, &e), 0);
	fd = fixed_file(1000, 20, &size);
	add_all(2, ARCHIVE_FIXED, fd, size);
	expect(1001, 1, 1);
	expect(1015, 2, 15);
}

Test(known_chunks, registers_a_part_at_a_time)
{
	uint64_t size;
	uint32_t n = 200000;
	int fd = fixed_file(1, n, &size), steps = 0;

	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_FIXED, fd, size, &e), 0);
	expect_none(n);
	while (known_file_step(&k, 0, &e) == 1)
		steps++;
	cr_assert_geq(steps, 2);
	expect(n, 0, n - 1);
	/* Asked for again: known already. */
	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_FIXED, fd, size, &e), 0);
	cr_assert_eq(known_file_step(&k, 0, &e), 0);
	cr_assert_eq(k.file_count, 1);
	/* DESIGN: at most 12 bytes a chunk beside the mapped file. */
	cr_assert_leq((uint64_t)(k.map.mask + 1) * sizeof(uint32_t),
	    12 * (uint64_t)n);
	close(fd);
}

Test(known_chunks, slots_never_written_are_no_chunks)
{
	struct known_source src;
	struct digest zero = {{0}};
	uint64_t size;
	uint8_t *map;
	int fd = fixed_file(5, 3, &size), copy;

	map = malloc(size);
	cr_assert_eq(io_pread_full(fd, map, size, 0, &e), 0);
	memset(map + fixed_index_entry_pos(1), 0, DIGEST_LEN);
	copy = io_memfd_data("index", map, size, &e);
	add_all(0, ARCHIVE_FIXED, copy, size);
	cr_assert_not(known_get(&k, &zero, &src));
	expect(7, 0, 2);
	free(map);
	close(fd);
}

Test(known_chunks, refuses_damaged_files)
{
	uint64_t size;
	int fd = fixed_file(5, 3, &size), pipe_fds[2];

	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_DYNAMIC, fd, size, &e), -1);
	cr_assert_eq(e.code, ERR_CORRUPT);
	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_FIXED, fd, size - 32, &e),
	    -1);
	cr_assert_eq(e.code, ERR_CORRUPT);
	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_FIXED, fd, 100, &e), -1);
	cr_assert_eq(e.code, ERR_CORRUPT);
	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_FIXED, fd, UINT64_MAX, &e),
	    -1);
	cr_assert_eq(pipe(pipe_fds), 0);
	cr_assert_eq(known_add_file(&k, 0, ARCHIVE_FIXED, pipe_fds[0], size,
			 &e),
	    -1);
	cr_assert_eq(known_file_step(&k, 0, &e), -1);
	cr_assert_eq(k.file_count, 0);
	expect_none(5);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(fd);
}
