/*
 * The audit log: what is written can be checked, and no change of it stays
 * unnoticed.
 */
#include "config.h"

#include "common/audit.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"

static char dir[] = "/tmp/holdfast-audit-XXXXXX";

static void
setup(void)
{
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(chdir(dir) == 0);
}

static void
teardown(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert(system(cmd) == 0);
}

TestSuite(audit, .init = setup, .fini = teardown);

static struct audit *
open_log(void)
{
	struct audit *a = NULL;
	struct err e;

	cr_assert_eq(audit_open(&a, ".", &e), 0, "%s", e.msg);
	return a;
}

static void
write_some(int n)
{
	struct audit *a = open_log();
	int i;

	for (i = 0; i < n; i++)
		audit_add(a, "login", "auth-id", "user@pbs", "peer",
		    "192.0.2.1:1", "reason", NULL, NULL);
	audit_close(&a);
}

static char *
read_log(size_t *len_out)
{
	char *text;
	struct err e;

	cr_assert_eq(io_read_file(AT_FDCWD, AUDIT_FILE, 1 << 20, &text, len_out,
			 &e),
	    0, "%s", e.msg);
	return text;
}

static void
write_log(const char *text, size_t len)
{
	struct err e;

	cr_assert_eq(io_write_file_atomic(AT_FDCWD, AUDIT_FILE, text, len, 0600,
			 0, &e),
	    0, "%s", e.msg);
}

static int
verify(struct audit_report *r, struct err *e)
{
	e->msg[0] = '\0';
	return audit_verify(".", r, e);
}

static void
expect_ok(uint64_t lines)
{
	struct audit_report r;
	struct err e;

	cr_assert_eq(verify(&r, &e), 0, "%s", e.msg);
	cr_assert_eq(r.lines, lines);
	cr_assert_eq(r.last, lines);
}

static void
expect_bad(const char *text)
{
	struct audit_report r;
	struct err e;

	cr_assert_eq(verify(&r, &e), -1);
	cr_assert_eq(e.code, ERR_CORRUPT);
	cr_assert_not_null(strstr(e.msg, text), "%s", e.msg);
}

Test(audit, lines_are_json_with_what_was_given)
{
	struct audit *a = open_log();
	struct json *obj;
	struct stat st;
	char *text, *line;
	size_t len;

	audit_add(a, "login", "auth-id", "a\"b\n\x01\xff", "gone", NULL, NULL);
	audit_close(&a);
	text = read_log(&len);
	line = strchr(text, '\n') + 1;
	cr_assert_eq(line[strlen(line) - 1], '\n');
	obj = json_parse(line, strlen(line) - 1, 4, NULL);
	cr_assert_not_null(obj);
	cr_expect_str_eq(json_get_str(obj, "event", NULL), "login");
	cr_expect_eq(strncmp(json_get_str(obj, "auth-id", NULL), "a\"b\n\x01",
			 5),
	    0);
	cr_expect_null(json_get(obj, "gone"));
	cr_expect_not_null(json_get(obj, "time"));
	cr_assert_eq(stat(AUDIT_FILE, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	json_free(&obj);
	free(text);
	expect_ok(2);
}

Test(audit, chain_goes_on_after_a_restart)
{
	write_some(3);
	expect_ok(4);
	write_some(2);
	expect_ok(6);
}

Test(audit, no_log_is_no_log)
{
	struct audit_report r;
	struct err e;

	audit_add(NULL, "login", NULL);
	cr_expect_eq(verify(&r, &e), -1);
	cr_expect_eq(r.lines, 0);
}

/* Each byte but the newline of the last line. */
Test(audit, any_changed_byte_is_found)
{
	struct audit_report r;
	struct err e;
	char *text;
	size_t len, i;

	write_some(2);
	text = read_log(&len);
	for (i = 0; i < len; i++) {
		text[i] ^= 1;
		write_log(text, len);
		cr_assert_eq(verify(&r, &e), -1, "byte %zu", i);
		text[i] ^= 1;
	}
	free(text);
}

/* A line out, two swapped, one twice. */
Test(audit, order_and_number_of_lines_count)
{
	char *text, *second, *third, *rest, changed[4096];
	size_t len;

	write_some(4);
	text = read_log(&len);
	second = strchr(text, '\n') + 1;
	third = strchr(second, '\n') + 1;
	rest = strchr(third, '\n') + 1;

	snprintf(changed, sizeof(changed), "%.*s%s", (int)(second - text), text,
	    third);
	write_log(changed, strlen(changed));
	expect_bad("line 2: has number 3 after 1");

	snprintf(changed, sizeof(changed), "%.*s%.*s%.*s%s",
	    (int)(second - text), text, (int)(rest - third), third,
	    (int)(third - second), second, rest);
	write_log(changed, strlen(changed));
	expect_bad("line 2");

	snprintf(changed, sizeof(changed), "%.*s%s", (int)(third - text), text,
	    second);
	write_log(changed, strlen(changed));
	expect_bad("line 3");

	write_log(second, strlen(second));
	expect_bad("line 1: does not begin a file");
	free(text);
}

Test(audit, torn_line_is_cut_off_and_told)
{
	char *text;
	size_t len;

	write_some(2);
	text = read_log(&len);
	write_log(text, len - 10);
	free(text);
	expect_bad("line 3");
	write_some(1);
	expect_ok(4);
	text = read_log(&len);
	cr_expect_not_null(strstr(text, "\"event\":\"torn\""));
	free(text);
}

Test(audit, damaged_end_is_set_aside)
{
	write_log("{\"n\":1}\n", 8);
	write_some(1);
	expect_bad("damaged");
}

/* The name carries the number of the last line; the chain goes on. */
Test(audit, files_are_checked_in_order)
{
	char *text;
	size_t len;

	write_some(2);
	text = read_log(&len);
	cr_assert_eq(rename(AUDIT_FILE, AUDIT_FILE ".00000000000000000003"), 0);
	write_some(1);
	expect_bad("does not go on with the file before it");
	free(text);
}

Test(audit, full_file_is_followed_by_the_next)
{
	struct audit *a = open_log();
	struct audit_report r;
	char *value = malloc(12001);
	struct err e;
	int i;

	memset(value, 'x', 12000);
	value[12000] = '\0';
	for (i = 0; i < AUDIT_FILE_MAX / 12000 + 10; i++)
		audit_add(a, "login", "auth-id", value, NULL);
	audit_close(&a);
	write_some(1);
	cr_assert_eq(verify(&r, &e), 0, "%s", e.msg);
	cr_expect_geq(r.files, 2);
	free(value);
}

Test(audit, line_that_is_too_long_is_left_out)
{
	struct audit *a = open_log();
	char *value = malloc(20001);

	memset(value, 'x', 20000);
	value[20000] = '\0';
	audit_add(a, "login", "auth-id", value, NULL);
	audit_close(&a);
	free(value);
	expect_ok(1);
}
