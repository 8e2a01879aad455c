/*
 * The audit log: what is written can be checked, and no change of it stays
 * unnoticed.
 */
#include "config.h"

#include "common/audit.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <event2/event.h>

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

#define FILE_SIZE 4096 /* a dozen lines and a half */
#define FILES 3

static struct audit_limits limits = {FILE_SIZE, FILES};

static struct audit *
open_log(void)
{
	struct audit *a = NULL;
	struct err e;

	cr_assert_eq(audit_open(&a, ".", &limits, &e), 0, "%s", e.msg);
	return a;
}

static void
add_some(struct audit *a, int n)
{
	int i;

	for (i = 0; i < n; i++)
		audit_add(a, "login", "auth-id", "user@pbs", "peer",
		    "192.0.2.1:1", "reason", NULL, NULL);
}

static void
refuse_some(struct audit *a, const char *event, int n)
{
	int i;

	for (i = 0; i < n; i++)
		audit_add(a, event, "outcome", "refused", NULL);
}

static void
write_some(int n)
{
	struct audit *a = open_log();

	add_some(a, n);
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

static int
is_full_one(const struct dirent *d)
{
	return strncmp(d->d_name, AUDIT_FILE ".0", sizeof(AUDIT_FILE) + 1) == 0;
}

/* Full files; the first line's number in the oldest of them. */
static int
full_files(uint64_t *first_out)
{
	struct dirent **v;
	int n = scandir(".", &v, is_full_one, alphasort), i;
	struct json *obj;
	char *text;
	size_t len;
	struct err e;

	cr_assert_gt(n, 0);
	cr_assert_eq(io_read_file(AT_FDCWD, v[0]->d_name, 1 << 20, &text, &len,
			 &e),
	    0, "%s", e.msg);
	obj = json_parse(text, strcspn(text, "\n"), 4, NULL);
	cr_assert_eq(json_get_u64(obj, "n", 1, UINT64_MAX, first_out, NULL), 0);
	json_free(&obj);
	free(text);
	for (i = 0; i < n; i++)
		free(v[i]);
	free(v);
	return n;
}

Test(audit, full_file_is_followed_by_the_next)
{
	struct audit *a = open_log();
	struct audit_report r;
	uint64_t first;
	struct err e;

	add_some(a, FILE_SIZE / 100);
	audit_close(&a);
	write_some(1);
	cr_assert_eq(verify(&r, &e), 0, "%s", e.msg);
	cr_expect_eq(r.files, (uint64_t)full_files(&first) + 1);
	cr_expect_eq(first, 1);
}

/* The chain is checked from the oldest that is left. */
Test(audit, oldest_of_too_many_files_are_removed)
{
	struct audit_report r;
	struct err e;
	uint64_t first;

	write_log("{\"n\":1}\n", 8);
	write_some(1); /* sets that aside, for a person to look at */
	write_some(FILE_SIZE / 200 * (FILES + 3));
	cr_expect_eq(full_files(&first), FILES);
	cr_expect_gt(first, 1);
	expect_bad("audit.log.damaged");
	cr_assert_eq(system("rm audit.log.damaged.*"), 0);
	cr_assert_eq(verify(&r, &e), 0, "%s", e.msg);
	cr_expect_eq(r.files, FILES + 1);
	cr_expect_eq(r.lines, r.last - first + 1);
}

/* Each kind of event by itself; nothing else is left out. */
Test(audit, flood_of_refusals_is_counted)
{
	struct audit_report r;
	struct audit *a;
	struct json *obj;
	char *text, *line;
	struct err e;
	size_t len;
	uint64_t n;

	limits.file_size = 1 << 20;
	a = open_log();
	refuse_some(a, "login", 100000);
	refuse_some(a, "grant", 2);
	add_some(a, 3);
	audit_close(&a);
	cr_assert_eq(verify(&r, &e), 0, "%s", e.msg);
	/* A token may have come back meanwhile. */
	cr_expect_geq(r.last, 1 + AUDIT_REFUSED_BURST + 2 + 3 + 1);
	cr_expect_leq(r.last, 1 + AUDIT_REFUSED_BURST + 2 + 3 + 1 + 60);
	text = read_log(&len);
	line = strstr(text, "\"event\":\"left-out\"");
	cr_assert_not_null(line);
	while (line > text && line[-1] != '\n')
		line--;
	obj = json_parse(line, strcspn(line, "\n"), 4, NULL);
	cr_assert_not_null(obj);
	cr_expect_str_eq(json_get_str(obj, "of", NULL), "login");
	n = strtoull(json_get_str(obj, "count", NULL), NULL, 10);
	cr_expect_eq(n, 100000 - (r.last - 1 - 2 - 3 - 1));
	json_free(&obj);
	free(text);
}

/* A process that goes on tells it after a while. */
Test(audit, what_was_left_out_is_told_from_the_loop)
{
	struct event_base *base = event_base_new();
	struct audit *a;
	char *text = NULL;
	size_t len;

	limits.file_size = 1 << 20;
	a = open_log();
	audit_watch(a, base);
	refuse_some(a, "login", AUDIT_REFUSED_BURST + 100);
	do {
		free(text);
		event_base_loop(base, EVLOOP_ONCE);
		text = read_log(&len);
	} while (strstr(text, "\"left-out\"") == NULL);
	free(text);
	audit_close(&a);
	event_base_free(base);
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
	expect_ok(2); /* its count */
}

static void
limit_files(rlim_t len)
{
	struct rlimit r = {len, RLIM_INFINITY};

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* As on a full disk, also where the next file should begin. */
Test(audit, what_cannot_be_written_is_counted_later)
{
	struct audit *a = open_log();
	struct audit_report r;
	struct err e;
	char *text;
	size_t len;

	signal(SIGXFSZ, SIG_IGN);
	add_some(a, 2);
	limit_files(1000);
	add_some(a, 20);
	limit_files(RLIM_INFINITY);
	add_some(a, 2);
	audit_close(&a);
	text = read_log(&len);
	cr_expect_not_null(strstr(text, "\"event\":\"left-out\""));
	cr_expect_not_null(strstr(text, "\"of\":\"login\""));
	free(text);
	cr_assert_eq(verify(&r, &e), 0, "%s", e.msg);
	cr_expect_lt(r.lines, 1 + 2 + 20);
}
