/* JSON of listings from records. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/manifest.h"
#include "common/json.h"
#include "common/records.h"
#include "common/wire.h"
#include "server/render.h"

static uint8_t recs[1 << 20];
static struct wire_w w;

static void
setup(void)
{
	wire_w_init(&w, recs, sizeof(recs));
}

TestSuite(render, .init = setup);

static size_t
recs_len(void)
{
	cr_assert_gt(wire_w_len(&w), 0);
	return (size_t)wire_w_len(&w);
}

static void
expect_json(struct json *j, const char *text)
{
	char *have;

	cr_assert_not_null(j);
	have = json_compact(j, NULL);
	cr_expect_str_eq(have, text);
	free(have);
	json_free(&j);
}

Test(render, nothing_is_an_empty_list)
{
	struct err e = {0};

	expect_json(render_stores(recs, 0, &e), "[]");
	expect_json(render_snapshots(recs, 0, &e), "[]");
	expect_json(render_lines(NULL, 0, &e), "[]");
}

Test(render, stores)
{
	struct rec_STORE a = {.name = "s1"};
	struct rec_STORE b = {.name = "s2",
	    .comment = "c",
	    .maintenance = "read-only"};
	struct err e = {0};

	rec_put_STORE(&w, &a);
	rec_put_STORE(&w, &b);
	expect_json(render_stores(recs, recs_len(), &e),
	    "[{\"comment\":null,\"store\":\"s1\"},"
	    "{\"comment\":\"c\",\"maintenance\":\"read-only\","
	    "\"store\":\"s2\"}]");
}

#define GC_ZEROS                                                           \
	"\"disk-bytes\":0,\"disk-chunks\":0,\"index-data-bytes\":0,"       \
	"\"index-file-count\":0,\"pending-bytes\":0,\"pending-chunks\":0," \
	"\"removed-bad\":0,\"removed-bytes\":0,\"removed-chunks\":0,"

Test(render, status_with_counts_and_collection)
{
	struct rec_COUNT vm = {.type = BACKUP_VM, .groups = 2, .snapshots = 5};
	struct rec_COUNT ct = {.type = BACKUP_CT};
	struct rec_LINE gc = {.text = (const uint8_t *)"{\"still-bad\":3}"};
	struct err e = {0};

	gc.text_len = 15;
	rec_put_COUNT(&w, &vm);
	rec_put_COUNT(&w, &ct);
	rec_put_LINE(&w, &gc);
	expect_json(render_status(recs, recs_len(), &e),
	    "{\"counts\":{\"ct\":null,\"host\":null,\"other\":null,"
	    "\"vm\":{\"groups\":2,\"snapshots\":5}},"
	    "\"gc-status\":{" GC_ZEROS "\"still-bad\":3}}");
	expect_json(render_gc_status("", 0, &e),
	    "{" GC_ZEROS "\"still-bad\":0}");
}

Test(render, a_broken_collection_status_is_refused)
{
	struct err e = {0};

	cr_expect_null(render_gc_status("[]", 2, &e));
	cr_expect_null(render_gc_status("{", 1, &e));
}

Test(render, groups_with_files)
{
	struct rec_GROUP g = {.type = BACKUP_HOST,
	    .id = "h1",
	    .last_backup = 1718000000,
	    .count = 3,
	    .owner = "u@pbs",
	    .comment = "first\n"};
	struct rec_GROUP g2 = {.type = BACKUP_CT, .id = "100"};
	struct rec_FILE f = {.name = "root.pxar.didx", .size = 9};
	struct err e = {0};

	rec_put_GROUP(&w, &g);
	rec_put_FILE(&w, &f);
	rec_put_GROUP(&w, &g2);
	expect_json(render_groups(recs, recs_len(), &e),
	    "[{\"backup-count\":3,\"backup-id\":\"h1\","
	    "\"backup-type\":\"host\",\"comment\":\"first\\n\","
	    "\"files\":[\"root.pxar.didx\"],\"last-backup\":1718000000,"
	    "\"owner\":\"u@pbs\"},"
	    "{\"backup-count\":0,\"backup-id\":\"100\","
	    "\"backup-type\":\"ct\",\"files\":[],\"last-backup\":0}]");
}

static void
put_snapshot(const char *json)
{
	struct blob_codec *codec = blob_codec_new();
	struct manifest *m = NULL;
	struct rec_SNAP s = {.type = BACKUP_HOST,
	    .id = "h1",
	    .time = 1718000000,
	    .owner = "u@pbs!t",
	    .protected = 1};
	struct rec_FILE f = {.name = "client.log.blob", .size = 5};
	struct rec_FILE known = {.name = "a.blob", .size = 5};
	struct rec_FILE index = {.name = "index.json.blob", .size = 5};
	uint8_t *blob = NULL;
	size_t len = 0;
	struct err e = {0};

	if (json != NULL) {
		cr_assert_eq(manifest_parse(json, strlen(json), &m, &e), 0,
		    "%s", e.msg);
		cr_assert_eq(manifest_to_blob(m, codec, &blob, &len, &e), 0);
		s.manifest = blob;
		s.manifest_len = (uint32_t)len;
	}
	rec_put_SNAP(&w, &s);
	rec_put_FILE(&w, &known);
	rec_put_FILE(&w, &index);
	rec_put_FILE(&w, &f);
	manifest_free(m);
	blob_codec_free(codec);
	free(blob);
}

#define CSUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MANIFEST                                                          \
	"{\"backup-type\":\"host\",\"backup-id\":\"h1\","                 \
	"\"backup-time\":1718000000,\"files\":[{\"filename\":\"a.blob\"," \
	"\"crypt-mode\":\"encrypt\",\"size\":1000,\"csum\":\"" CSUM       \
	"\"}],\"signature\":null,\"unprotected\":{\"notes\":\"one\\ntwo\"}}"

Test(render, finished_snapshot)
{
	const struct json *snap, *files;
	struct json *list;
	uint64_t size, blob;
	struct err e = {0};

	put_snapshot(MANIFEST);
	list = render_snapshots(recs, recs_len(), &e);
	cr_assert_not_null(list, "%s", e.msg);
	cr_assert_eq(json_len(list), 1);
	snap = json_at(list, 0);
	cr_expect_str_eq(json_get_str(snap, "backup-type", &e), "host");
	cr_expect_str_eq(json_get_str(snap, "owner", &e), "u@pbs!t");
	cr_expect_str_eq(json_get_str(snap, "comment", &e), "one");
	cr_expect_null(json_get(snap, "verification"));
	files = json_get_array(snap, "files", &e);
	cr_assert_eq(json_len(files), 3);
	cr_expect_str_eq(json_get_str(json_at(files, 0), "filename", &e),
	    "a.blob");
	cr_expect_str_eq(json_get_str(json_at(files, 0), "crypt-mode", &e),
	    "encrypt");
	cr_expect_str_eq(json_get_str(json_at(files, 1), "filename", &e),
	    "index.json.blob");
	cr_expect_str_eq(json_get_str(json_at(files, 1), "crypt-mode", &e),
	    "none");
	cr_expect_eq(json_get_u64(json_at(files, 1), "size", 1, 100000, &blob,
			 &e),
	    0);
	cr_expect_null(json_get(json_at(files, 2), "size"));
	cr_expect_eq(json_get_u64(snap, "size", 0, INT64_MAX, &size, &e), 0);
	cr_expect_eq(size, 1000 + blob);
	json_free(&list);
	expect_json(render_notes(recs, recs_len(), &e), "\"one\\ntwo\"");
}

Test(render, unfinished_snapshot)
{
	struct err e = {0};

	put_snapshot(NULL);
	expect_json(render_snapshots(recs, recs_len(), &e),
	    "[{\"backup-id\":\"h1\",\"backup-time\":1718000000,"
	    "\"backup-type\":\"host\",\"files\":[{\"filename\":\"a.blob\"},"
	    "{\"filename\":\"index.json.blob\"},"
	    "{\"filename\":\"client.log.blob\"}],\"owner\":\"u@pbs!t\","
	    "\"protected\":true}]");
	cr_expect_null(render_files(recs, recs_len(), &e));
	cr_expect_eq(err_http_status(e.code), 400);
	cr_expect_eq(strncmp(e.msg, "unable to load blob", 19), 0);
}

Test(render, a_hostile_manifest_makes_an_unfinished_snapshot)
{
	static const uint8_t garbage[64] = "not a blob at all";
	struct rec_SNAP s = {.type = BACKUP_VM,
	    .id = "1",
	    .time = 1,
	    .manifest = garbage,
	    .manifest_len = sizeof(garbage)};
	struct err e = {0};

	rec_put_SNAP(&w, &s);
	expect_json(render_snapshots(recs, recs_len(), &e),
	    "[{\"backup-id\":\"1\",\"backup-time\":1,\"backup-type\":\"vm\","
	    "\"files\":[],\"protected\":false}]");
}

Test(render, sizes_that_overflow_stay_numbers)
{
	struct err e = {0};
	struct json *list;
	uint64_t size;

	put_snapshot(
	    "{\"backup-type\":\"host\",\"backup-id\":\"h1\","
	    "\"backup-time\":1718000000,\"files\":["
	    "{\"filename\":\"a.blob\",\"size\":9223372036854775807,\"csum\":\"" CSUM
	    "\"},"
	    "{\"filename\":\"b.blob\",\"size\":9223372036854775807,\"csum\":\"" CSUM
	    "\"}],\"unprotected\":{}}");
	list = render_snapshots(recs, recs_len(), &e);
	cr_assert_not_null(list);
	cr_expect_eq(json_get_u64(json_at(list, 0), "size", 0, UINT64_MAX,
			 &size, &e),
	    0);
	cr_expect_eq(size, INT64_MAX);
	json_free(&list);
}

Test(render, prune)
{
	struct rec_PRUNE p = {.ns = "a",
	    .type = BACKUP_VM,
	    .id = "1",
	    .time = 5,
	    .keep = 1};
	struct err e = {0};

	rec_put_PRUNE(&w, &p);
	expect_json(render_prune(recs, recs_len(), 0, &e),
	    "[{\"backup-id\":\"1\",\"backup-time\":5,\"backup-type\":\"vm\","
	    "\"keep\":true,\"protected\":false}]");
	expect_json(render_prune(recs, recs_len(), 1, &e),
	    "[{\"backup-id\":\"1\",\"backup-time\":5,\"backup-type\":\"vm\","
	    "\"keep\":true,\"ns\":\"a\",\"protected\":false}]");
}

#define UPID(start, type, id, user) \
	"UPID:n1:0000A1B2:00BC614E:0000001F:" start ":" type ":" id ":" user ":"

/* As they come; one that no client could parse is left out. */
Test(render, tasks)
{
	static const struct rec_TASK rows[] = {
	    {.upid = UPID("66671C80", "backup", "s1\\x3ahost-h1", "u@pbs")},
	    {.upid = "UPID:not:one", .endtime = 9, .status = "OK"},
	    {.upid = UPID("66671C83", "reader", "", "v@pbs"),
		.endtime = 9,
		.status = "broken"},
	};
	struct err e = {0};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rec_put_TASK(&w, &rows[i]);
	expect_json(render_tasks(recs, recs_len(), &e),
	    "[{\"node\":\"localhost\",\"pid\":41394,\"pstart\":12345678,"
	    "\"starttime\":1718033536,\"upid\":\"" UPID("66671C80", "backup",
		"s1\\\\x3ahost-h1",
		"u@pbs") "\","
			 "\"user\":\"u@pbs\",\"worker_id\":\"s1:host/h1\","
			 "\"worker_type\":\"backup\"},"
			 "{\"endtime\":9,\"node\":\"localhost\",\"pid\":41394,"
			 "\"pstart\":12345678,\"starttime\":1718033539,"
			 "\"status\":\"broken\",\"upid\":\"" UPID("66671C83",
			     "reader", "",
			     "v@pbs") "\","
				      "\"user\":\"v@pbs\",\"worker_id\":null,"
				      "\"worker_type\":\"reader\"}]");
}

Test(render, one_task)
{
	struct rec_TASK t = {.upid =
				 UPID("66671C81", "prune", "s2", "u@pbs!tok"),
	    .endtime = 1718033600,
	    .status = "OK"};
	struct err e = {0};

	rec_put_TASK(&w, &t);
	expect_json(render_task_status(recs, recs_len(), &e),
	    "{\"endtime\":1718033600,\"exitstatus\":\"OK\",\"id\":\"s2\","
	    "\"node\":\"n1\",\"pid\":41394,\"pstart\":12345678,"
	    "\"starttime\":1718033537,\"status\":\"stopped\","
	    "\"tokenid\":\"tok\",\"type\":\"prune\","
	    "\"upid\":\"" UPID("66671C81", "prune", "s2",
		"u@pbs!tok") "\","
			     "\"user\":\"u@pbs\"}");
}

Test(render, lines)
{
	struct rec_LINE l = {.n = 7,
	    .text = (const uint8_t *)"TASK OK",
	    .text_len = 7};
	struct err e = {0};

	rec_put_LINE(&w, &l);
	expect_json(render_lines(recs, recs_len(), &e),
	    "[{\"n\":7,\"t\":\"TASK OK\"}]");
}

Test(render, damaged_records_are_refused)
{
	struct rec_NS ns = {.ns = "a/b"};
	struct err e = {0};
	size_t len;

	rec_put_NS(&w, &ns);
	len = recs_len();
	cr_expect_null(render_stores(recs, len, &e), "another kind");
	cr_expect_eq(e.code, ERR_PROTO);
	cr_expect_null(render_namespaces(recs, len - 1, &e), "cut off");
	recs[1]++;
	cr_expect_null(render_namespaces(recs, len, &e), "too long");
}
