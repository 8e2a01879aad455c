/* Listings as records: what is seen, what is left out, how it travels. */
#include "config.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/listing.h"
#include "validator/store/record_file.h"

static struct record_file *file;
static uint8_t *data;
static size_t data_len;

static void
setup(void)
{
	fixture_init();
	file = record_file_new();
}

static void
teardown(void)
{
	free(data);
	record_file_free(&file);
	fixture_fini();
}

TestSuite(listing, .init = setup, .fini = teardown);

/* Every record as a line of text. */
static char text[65536];

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
add(const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	va_end(ap);
}

static void
print_record(enum record_kind kind, struct wire_r *body)
{
	static struct rec_NS ns;
	static struct rec_GROUP g;
	static struct rec_SNAP s;
	static struct rec_FILE f;
	static struct rec_COUNT c;

	if (kind == RECORD_NS && rec_get_NS(body, &ns) == 0)
		add("ns[%s] ", ns.ns);
	else if (kind == RECORD_GROUP && rec_get_GROUP(body, &g) == 0)
		add("group[%s/%s n=%d owner=%s comment=%s] ",
		    backup_type_str((enum backup_type)g.type), g.id,
		    (int)g.count, g.owner, g.comment);
	else if (kind == RECORD_SNAP && rec_get_SNAP(body, &s) == 0)
		add("snap[%s/%s %jd owner=%s%s manifest=%.*s] ",
		    backup_type_str((enum backup_type)s.type), s.id,
		    (intmax_t)s.time, s.owner, s.protected ? " protected" : "",
		    s.manifest_len > 20 ? 20 : (int)s.manifest_len,
		    (const char *)s.manifest);
	else if (kind == RECORD_FILE && rec_get_FILE(body, &f) == 0)
		add("file[%s %d] ", f.name, (int)f.size);
	else if (kind == RECORD_COUNT && rec_get_COUNT(body, &c) == 0)
		add("count[%s %d %d] ",
		    backup_type_str((enum backup_type)c.type), (int)c.groups,
		    (int)c.snapshots);
	else
		cr_assert_fail("record of kind %d", kind);
}

/* Seals what was listed, and reads it as a worker does. */
static const char *
records(void)
{
	enum record_kind kind;
	struct wire_r all, body;
	struct err e = {0};
	uint64_t size;
	int fd, rv;

	cr_assert_eq(record_file_finish(file, &fd, &size, &e), 0, "%s", e.msg);
	record_file_free(&file);
	file = record_file_new();
	free(data);
	data_len = (size_t)size;
	data = malloc(data_len + 1);
	cr_assert_eq(io_pread_full(fd, data, data_len, 0, &e), 0);
	cr_expect_eq(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
	close(fd);
	text[0] = '\0';
	wire_r_init(&all, data, data_len);
	while ((rv = record_next(&all, &kind, &body)) == 1)
		print_record(kind, &body);
	cr_expect_eq(rv, 0);
	return text;
}

static bool
everything(void *ctx, const char *owner)
{
	(void)ctx;
	(void)owner;
	return true;
}

static bool
only(void *ctx, const char *owner)
{
	return strcmp(ctx, owner) == 0;
}

static bool
ns_everything(void *ctx, const struct backup_ns *ns)
{
	(void)ctx;
	(void)ns;
	return true;
}

static bool
ns_only(void *ctx, const struct backup_ns *ns)
{
	return strcmp(ctx, ns->name) == 0;
}

#define T1 "2022-05-02T08:11:33Z" /* 1651479093 */
#define T2 "2022-05-03T08:11:33Z"

Test(listing, of_namespaces_begins_with_the_parent)
{
	struct backup_ns root = fixture_ns(""), none = fixture_ns("none");
	uint64_t seen;

	fixture_make_snapshot("a/b", "vm/1/" T1, "u@pbs");
	cr_assert_eq(listing_namespaces(fx.store, &root, 7, ns_everything, NULL,
			 file, &seen, NULL),
	    0);
	cr_expect_eq(seen, 3);
	cr_expect_str_eq(records(), "ns[] ns[a] ns[a/b] ");
	cr_assert_eq(listing_namespaces(fx.store, &root, 7, ns_only,
			 (void *)"a/b", file, &seen, NULL),
	    0);
	cr_expect_eq(seen, 1);
	cr_expect_str_eq(records(), "ns[a/b] ");
	cr_assert_eq(listing_namespaces(fx.store, &none, 7, ns_everything, NULL,
			 file, &seen, NULL),
	    0);
	cr_expect_eq(seen, 1);
	cr_expect_str_eq(records(), "ns[none] ");
	cr_assert_eq(listing_namespaces(fx.store, &root, 7, ns_only,
			 (void *)"x", file, &seen, NULL),
	    0);
	cr_expect_eq(seen, 0);
	cr_expect_str_eq(records(), "");
}

Test(listing, of_groups_shows_each_caller_its_own)
{
	struct backup_ns root = fixture_ns(""), none = fixture_ns("none");
	struct backup_group g;
	struct err e = {0};

	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	fixture_make_snapshot("", "vm/1/" T2, "u@pbs");
	cr_assert_eq(unlinkat(fx.store->root_fd, "vm/1/" T2 "/index.json.blob",
			 0),
	    0);
	fixture_make_snapshot("", "ct/2/" T1, "v@pbs");
	cr_assert_eq(mkdirat(fx.store->root_fd, "ct/3", 0755), 0);
	cr_assert_eq(group_parse(&g, "vm/1", NULL), 0);
	cr_assert_eq(group_notes_set(fx.store, &root, &g, "one\ntwo", 7, &e),
	    0);
	cr_assert_eq(listing_groups(fx.store, &root, everything, NULL, file,
			 &e),
	    0);
	cr_expect_str_eq(records(),
	    "group[ct/2 n=1 owner=v@pbs comment=] "
	    "file[index.json.blob 8] file[root.pxar.didx 5] "
	    "group[vm/1 n=2 owner=u@pbs comment=one\n] "
	    "file[index.json.blob 8] file[root.pxar.didx 5] ");
	cr_assert_eq(listing_groups(fx.store, &root, only, (void *)"v@pbs",
			 file, &e),
	    0);
	cr_expect_str_eq(records(),
	    "group[ct/2 n=1 owner=v@pbs comment=] "
	    "file[index.json.blob 8] file[root.pxar.didx 5] ");
	cr_expect_eq(listing_groups(fx.store, &none, everything, NULL, file,
			 &e),
	    -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_not_null(strstr(e.msg, "ENOENT: No such file or directory"));
}

Test(listing, does_not_cut_a_character_of_a_comment)
{
	struct backup_ns root = fixture_ns("");
	char notes[IPC_TEXT_MAX + 8], *comment;
	struct backup_group g;

	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	memset(notes, 'x', sizeof(notes));
	memcpy(notes + IPC_TEXT_MAX - 1, "\xc3\xa4", 2);
	cr_assert_eq(group_parse(&g, "vm/1", NULL), 0);
	cr_assert_eq(group_notes_set(fx.store, &root, &g, notes, sizeof(notes),
			 NULL),
	    0);
	cr_assert_eq(listing_groups(fx.store, &root, everything, NULL, file,
			 NULL),
	    0);
	comment = strstr(records(), "comment=") + 8;
	cr_expect_eq(strspn(comment, "x"), IPC_TEXT_MAX - 1);
	cr_expect_eq(comment[IPC_TEXT_MAX - 1], ']');
}

Test(listing, of_snapshots_can_be_narrowed)
{
	struct backup_ns root = fixture_ns("");
	struct listing_filter all = {0},
			      vms = {.has_type = true, .type = BACKUP_VM},
			      ones = {.id = "1"};

	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	fixture_make_snapshot("", "vm/2/" T1, "v@pbs");
	fixture_make_snapshot("", "ct/1/" T1, "v@pbs");
	fixture_write("vm/1/" T1 "/.protected", "", 0);
	fixture_write("vm/1/" T1 "/client.log.blob", "log", 3);
	cr_assert_eq(unlinkat(fx.store->root_fd, "vm/2/" T1 "/index.json.blob",
			 0),
	    0);
	cr_assert_eq(listing_snapshots(fx.store, &root, &vms, everything, NULL,
			 file, NULL),
	    0);
	cr_expect_str_eq(records(),
	    "snap[vm/1 1651479093 owner=u@pbs protected manifest=manifest] "
	    "file[client.log.blob 3] file[index.json.blob 8] "
	    "file[root.pxar.didx 5] "
	    "snap[vm/2 1651479093 owner=v@pbs manifest=] "
	    "file[root.pxar.didx 5] ");
	cr_assert_eq(listing_snapshots(fx.store, &root, &ones, only,
			 (void *)"v@pbs", file, NULL),
	    0);
	cr_expect_str_eq(records(),
	    "snap[ct/1 1651479093 owner=v@pbs manifest=manifest] "
	    "file[index.json.blob 8] file[root.pxar.didx 5] ");
	cr_assert_eq(listing_snapshots(fx.store, &root, &all, only,
			 (void *)"nobody@pbs", file, NULL),
	    0);
	cr_expect_str_eq(records(), "");
	all.id = "none";
	cr_assert_eq(listing_snapshots(fx.store, &root, &all, everything, NULL,
			 file, NULL),
	    0);
	cr_expect_str_eq(records(), "");
}

Test(listing, of_one_snapshot_needs_its_manifest)
{
	struct backup_snapshot s = fixture_snap("vm/1/" T1);
	struct backup_ns root = fixture_ns("");
	struct err e = {0};

	cr_expect_eq(listing_snapshot(fx.store, &root, &s, file, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_not_null(strstr(e.msg, "unable to load blob"));
	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	cr_assert_eq(listing_snapshot(fx.store, &root, &s, file, &e), 0, "%s",
	    e.msg);
	cr_expect_str_eq(records(),
	    "snap[vm/1 1651479093 owner=u@pbs manifest=manifest] "
	    "file[index.json.blob 8] file[root.pxar.didx 5] ");
	cr_assert_eq(unlinkat(fx.store->root_fd, "vm/1/" T1 "/index.json.blob",
			 0),
	    0);
	cr_expect_eq(listing_snapshot(fx.store, &root, &s, file, &e), -1);
	cr_expect_not_null(strstr(e.msg, "unable to load blob"));
}

Test(listing, shows_groups_without_a_good_owner_only_to_who_sees_all)
{
	struct backup_ns root = fixture_ns("");

	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	fixture_write("vm/1/owner", "???", 3);
	cr_assert_eq(listing_groups(fx.store, &root, only, (void *)"u@pbs",
			 file, NULL),
	    0);
	cr_expect_str_eq(records(), "");
	cr_assert_eq(listing_groups(fx.store, &root, everything, NULL, file,
			 NULL),
	    0);
	cr_expect_not_null(strstr(records(), "group[vm/1 n=1 owner= "));
}

Test(listing, counts_over_all_namespaces)
{
	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	fixture_make_snapshot("a", "vm/1/" T1, "u@pbs");
	fixture_make_snapshot("a/b", "vm/1/" T1, "u@pbs");
	fixture_make_snapshot("a/b", "vm/1/" T2, "u@pbs");
	fixture_make_snapshot("", "host/x/" T2, "u@pbs");
	cr_assert_eq(mkdirat(fx.store->root_fd, "host/empty", 0755), 0);
	cr_assert_eq(listing_counts(fx.store, file, NULL), 0);
	cr_expect_str_eq(records(),
	    "count[ct 0 0] count[host 1 1] count[vm 3 4] ");
}

Test(listing, carries_large_manifests)
{
	struct backup_snapshot s = fixture_snap("vm/1/" T1);
	struct backup_ns root = fixture_ns("");
	char *big = malloc(3 << 20);
	enum record_kind kind;
	struct wire_r all, body;
	static struct rec_SNAP rec;

	memset(big, 'm', 3 << 20);
	fixture_make_snapshot("", "vm/1/" T1, "u@pbs");
	fixture_write("vm/1/" T1 "/index.json.blob", big, 3 << 20);
	cr_assert_eq(listing_snapshot(fx.store, &root, &s, file, NULL), 0);
	records();
	wire_r_init(&all, data, data_len);
	cr_assert_eq(record_next(&all, &kind, &body), 1);
	cr_assert_eq(rec_get_SNAP(&body, &rec), 0);
	cr_assert_eq(rec.manifest_len, 3 << 20);
	cr_expect_arr_eq(rec.manifest, big, 3 << 20);
	free(big);
}

Test(listing, of_too_much_is_an_error)
{
	static struct rec_SNAP rec;
	uint8_t *big = calloc(1, RECORD_BYTES_MAX);
	struct err e = {0};
	uint64_t size;
	int fd, i;

	/* One byte more than a record may carry. */
	rec.manifest = big;
	rec.manifest_len = RECORD_BYTES_MAX + 1;
	record_file_put_SNAP(file, &rec);
	cr_expect_eq(record_file_finish(file, &fd, &size, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	/* The error sticks. */
	rec.manifest_len = 1;
	for (i = 0; i < 3; i++)
		record_file_put_SNAP(file, &rec);
	cr_expect_eq(record_file_finish(file, &fd, &size, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(big);
}
