/* The sealed memory file of a listing: buffer, large records, limits. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "validator/store/record_file.h"

static struct record_file *file;
static int fd = -1;
static uint64_t size;

static void
setup(void)
{
	file = record_file_new();
}

static void
teardown(void)
{
	io_close(&fd);
	record_file_free(&file);
}

TestSuite(record_file, .init = setup, .fini = teardown);

Test(record_file, may_be_empty_and_is_sealed)
{
	cr_assert_eq(record_file_finish(file, &fd, &size, NULL), 0);
	cr_expect_eq(size, 0);
	cr_expect_eq(write(fd, "x", 1), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(ftruncate(fd, 1), -1);
}

Test(record_file, keeps_the_order_of_small_and_large_records)
{
	static struct rec_SNAP snap;
	static struct rec_NS ns;
	const uint32_t large = 1 << 20;
	enum record_kind kind;
	struct wire_r all, body;
	uint8_t *big = calloc(1, large), *data;
	uint32_t i;

	/* More than the buffer in all, with one record longer than it. */
	for (i = 0; i < 20000; i++) {
		if (i == 777) {
			snap.manifest = big;
			snap.manifest_len = large;
			record_file_put_SNAP(file, &snap);
		}
		snprintf(ns.ns, sizeof(ns.ns), "ns%u", i);
		record_file_put_NS(file, &ns);
	}
	cr_assert_eq(record_file_finish(file, &fd, &size, NULL), 0);
	data = malloc((size_t)size);
	cr_assert_eq(io_pread_full(fd, data, (size_t)size, 0, NULL), 0);
	wire_r_init(&all, data, (size_t)size);
	for (i = 0; record_next(&all, &kind, &body) == 1;) {
		if (kind == RECORD_SNAP) {
			cr_assert_eq(i, 777);
			cr_assert_eq(rec_get_SNAP(&body, &snap), 0);
			cr_expect_eq(snap.manifest_len, large);
			continue;
		}
		cr_assert_eq(rec_get_NS(&body, &ns), 0);
		cr_assert_eq(strtoul(ns.ns + 2, NULL, 10), i);
		i++;
	}
	cr_expect_eq(i, 20000);
	cr_expect_eq(wire_r_left(&all), 0);
	free(data);
	free(big);
}

Test(record_file, remembers_its_first_error)
{
	static struct rec_LINE line;
	static uint8_t text[16385];
	struct err e = {0};

	line.text = text;
	line.text_len = sizeof(text);
	record_file_put_LINE(file, &line);
	line.text_len = 1;
	record_file_put_LINE(file, &line);
	cr_expect_eq(record_file_finish(file, &fd, &size, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	cr_expect_not_null(strstr(e.msg, "LINE"));
	cr_expect_eq(fd, -1);
}
