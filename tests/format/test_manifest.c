/* Manifests: the signed example of the specification, edits, what survives
 * them, and what is refused. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/crypt.h"
#include "common/format/manifest.h"

#define UPID "UPID:pbs1:0000A1B2:00BC614E:0000001F:66671C80:verify:s1:u@pbs:"
#define CSUM01 \
	"0101010101010101010101010101010101010101010101010101010101010101"
#define CSUM02 \
	"0202020202020202020202020202020202020202020202020202020202020202"
#define SIGNATURE \
	"d7b446fb7db081662081d4b40fedd858a1d6307a5aff4ecff7d5bf4fd35679e9"
#define CANONICAL                                                          \
	"{\"backup-id\":\"elsa\",\"backup-time\":1593179765,"              \
	"\"backup-type\":\"host\",\"files\":[{\"crypt-mode\":\"encrypt\"," \
	"\"csum\":\"" CSUM01 "\",\"filename\":\"test1.img.fidx\","         \
	"\"size\":200},{\"crypt-mode\":\"none\",\"csum\":\"" CSUM02        \
	"\",\"filename\":\"abc.blob\",\"size\":200}]}"

/* What a server may receive: any order, extra members, its own claims. */
#define UPLOADED                                                                 \
	"{\"files\":[{\"size\":4194305,\"filename\":\"drive.img.fidx\","         \
	"\"csum\":\"" CSUM01 "\",\"x\":1},{\"filename\":\"a.blob\","             \
	"\"crypt-mode\":\"sign-only\",\"size\":18446744073709551615}],"          \
	"\"backup-type\":\"vm\",\"backup-time\":1651479093,"                     \
	"\"backup-id\":\"100\",\"future\":{\"b\":[null,1.5],\"a\":\"\\u00e4\"}," \
	"\"unprotected\":{\"notes\":\"n\\n2\",\"other\":[true],"                 \
	"\"verify_state\":{\"state\":\"ok\",\"upid\":\"" UPID "\"},"             \
	"\"chunk_upload_stats\":{\"count\":1,\"size\":2,"                        \
	"\"compressed_size\":3,\"duplicates\":4},"                               \
	"\"sync-source-signature\":\"x\"}}"

/* The same after an import, as it lies on disk. */
static const char imported[] = "{\n"
			       "  \"backup-id\": \"100\",\n"
			       "  \"backup-time\": 1651479093,\n"
			       "  \"backup-type\": \"vm\",\n"
			       "  \"files\": [\n"
			       "    {\n"
			       "      \"csum\": \"" CSUM01 "\",\n"
			       "      \"filename\": \"drive.img.fidx\",\n"
			       "      \"size\": 4194305,\n"
			       "      \"x\": 1\n"
			       "    },\n"
			       "    {\n"
			       "      \"crypt-mode\": \"sign-only\",\n"
			       "      \"filename\": \"a.blob\",\n"
			       "      \"size\": 18446744073709551615\n"
			       "    }\n"
			       "  ],\n"
			       "  \"future\": {\n"
			       "    \"a\": \"\xc3\xa4\",\n"
			       "    \"b\": [\n"
			       "      null,\n"
			       "      1.5\n"
			       "    ]\n"
			       "  },\n"
			       "  \"signature\": null,\n"
			       "  \"unprotected\": {\n"
			       "    \"notes\": \"n\\n2\",\n"
			       "    \"other\": [\n"
			       "      true\n"
			       "    ]\n"
			       "  }\n"
			       "}";

static struct manifest *
parse(const char *json)
{
	struct manifest *m = NULL;
	struct err e;

	cr_assert_eq(manifest_parse(json, strlen(json), &m, &e), 0, "%s",
	    e.msg);
	return m;
}

static void
expect_json(const struct manifest *m, const char *want)
{
	struct err e;
	size_t len;
	char *json;

	cr_assert_eq(manifest_to_json(m, &json, &len, &e), 0);
	cr_expect_eq(len, strlen(want));
	cr_expect_str_eq(json, want);
	free(json);
}

static struct crypt *
test_key(void)
{
	uint8_t key[CRYPT_KEY_LEN];

	cr_assert_eq(EVP_PBE_scrypt("test", 4, (const uint8_t *)"", 0, 65536, 8,
			 1, UINT64_C(1025) << 20, key, sizeof(key)),
	    1);
	return crypt_new(key);
}

/* The example: two files, made the way a client makes them. */
static struct manifest *
example(void)
{
	struct backup_snapshot snap;
	struct manifest *m;
	struct digest d;
	struct err e;

	snapshot_set(&snap, "host", "elsa", 1593179765, &e);
	m = manifest_new(&snap);
	memset(d.b, 1, sizeof(d.b));
	cr_assert_eq(manifest_add_file(m, "test1.img.fidx", CRYPT_MODE_ENCRYPT,
			 200, &d, &e),
	    0);
	memset(d.b, 2, sizeof(d.b));
	cr_assert_eq(manifest_add_file(m, "abc.blob", CRYPT_MODE_NONE, 200, &d,
			 &e),
	    0);
	return m;
}

Test(manifest, canonical_form_and_signature)
{
	struct manifest *m = example(), *again;
	struct crypt *c = test_key();
	struct err e;
	char *text;
	size_t len;

	manifest_set_notes(m, "not signed", &e);
	manifest_set_key_fingerprint(m, c);
	cr_assert_eq(manifest_canonical(m, &text, &len, &e), 0);
	cr_expect_str_eq(text, CANONICAL);
	cr_expect_eq(len, strlen(CANONICAL));
	free(text);
	cr_expect_not(manifest_is_signed(m));
	cr_assert_eq(manifest_sign(m, c, &e), 0);
	cr_expect(manifest_is_signed(m));
	cr_assert_eq(manifest_to_json(m, &text, &len, &e), 0);
	cr_expect_neq(strstr(text, "\"signature\": \"" SIGNATURE "\""), NULL);
	again = parse(text);
	cr_expect(manifest_is_signed(again));
	cr_expect_eq(manifest_check_signature(again, c, &e), 0);
	manifest_free(again);
	free(text);
	manifest_free(m);
	crypt_free(c);
}

Test(manifest, finds_a_forged_signature)
{
	struct crypt *c = test_key(), *other;
	struct manifest *m = example(), *bad;
	uint8_t key[CRYPT_KEY_LEN] = {7};
	char *text, *p;
	struct err e;
	size_t len;

	cr_expect_eq(manifest_check_signature(m, c, &e), 0); /* unsigned */
	manifest_sign(m, c, &e);
	manifest_to_json(m, &text, &len, &e);
	p = strstr(text, "200");
	*p = '3';
	bad = parse(text);
	cr_expect_eq(manifest_check_signature(bad, c, &e), -1);
	cr_expect_eq(e.code, ERR_CRYPTO);
	manifest_free(bad);
	free(text);
	other = crypt_new(key);
	cr_expect_eq(manifest_check_signature(m, other, &e), -1);
	manifest_set_key_fingerprint(m, other);
	cr_expect_eq(manifest_check_signature(m, c, &e), -1);
	cr_expect_neq(strstr(e.msg, "wrong key"), NULL);
	crypt_free(other);
	crypt_free(c);
	manifest_free(m);
}

Test(manifest, reads_every_member)
{
	struct manifest *m = parse(UPLOADED);
	const struct manifest_file *f;
	char s[SNAPSHOT_STR_MAX + 1];
	struct manifest_stats stats;

	snapshot_to_str(manifest_snapshot(m), s);
	cr_expect_str_eq(s, "vm/100/2022-05-02T08:11:33Z");
	cr_assert_eq(manifest_file_count(m), 2);
	f = manifest_get_file(m, 0);
	cr_expect_str_eq(f->name, "drive.img.fidx");
	cr_expect_eq(f->kind, ARCHIVE_FIXED);
	cr_expect_eq(f->crypt_mode, CRYPT_MODE_NONE);
	cr_expect_eq(f->size, 4194305);
	cr_expect(f->has_csum);
	cr_expect_eq(f->csum.b[31], 1);
	f = manifest_find_file(m, "a.blob");
	cr_expect_eq(f, manifest_get_file(m, 1));
	cr_expect_eq(f->crypt_mode, CRYPT_MODE_SIGN_ONLY);
	cr_expect_eq(f->size, UINT64_MAX);
	cr_expect_not(f->has_csum);
	cr_expect_null(manifest_find_file(m, "b.blob"));
	cr_expect_null(manifest_get_file(m, 2));
	cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_OK);
	cr_expect_str_eq(manifest_verify_state(m)->upid, UPID);
	cr_expect_str_eq(manifest_notes(m), "n\n2");
	cr_expect_null(manifest_key_fingerprint(m));
	cr_expect_not(manifest_is_signed(m));
	cr_assert(manifest_get_stats(m, &stats));
	cr_expect_eq(stats.count, 1);
	cr_expect_eq(stats.size, 2);
	cr_expect_eq(stats.compressed_size, 3);
	cr_expect_eq(stats.duplicates, 4);
	manifest_free(m);
	manifest_free(NULL);
}

Test(manifest, import_strips_what_only_a_server_may_say)
{
	struct manifest *m = parse(UPLOADED);
	struct manifest_stats stats;

	cr_expect(manifest_strip_server_members(m));
	cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_NONE);
	cr_expect_not(manifest_get_stats(m, &stats));
	expect_json(m, imported);
	cr_expect_not(manifest_strip_server_members(m));
	manifest_free(m);
}

Test(manifest, edits)
{
	struct manifest_stats stats = {11, 22, 33, UINT64_MAX}, back;
	struct manifest *m = parse(imported), *again;
	struct err e;
	size_t len;
	char *text;

	cr_expect_eq(manifest_set_verify_state(m, VERIFY_STATE_FAILED, UPID,
			 &e),
	    0);
	cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_FAILED);
	manifest_set_stats(m, &stats);
	cr_expect_eq(manifest_set_notes(m, "", &e), 0);
	manifest_to_json(m, &text, &len, &e);
	again = parse(text);
	free(text);
	cr_expect_eq(manifest_verify_state(again)->state, VERIFY_STATE_FAILED);
	cr_expect_str_eq(manifest_verify_state(again)->upid, UPID);
	cr_expect_str_eq(manifest_notes(again), "");
	cr_expect(manifest_get_stats(again, &back));
	cr_expect_eq(memcmp(&stats, &back, sizeof(stats)), 0);
	/* what we do not know is still there */
	manifest_strip_server_members(again);
	manifest_set_notes(again, "n\n2", &e);
	expect_json(again, imported);
	manifest_free(again);

	cr_expect_eq(manifest_set_verify_state(m, VERIFY_STATE_NONE, NULL, &e),
	    0);
	cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_NONE);
	cr_expect_str_eq(manifest_verify_state(m)->upid, "");
	manifest_free(m);
}

Test(manifest, refuses_bad_edits)
{
	char *big = malloc(MANIFEST_NOTES_MAX + 2);
	struct manifest *m = parse(imported);
	struct digest d = {{0}};
	struct err e;

	cr_expect_eq(manifest_set_verify_state(m, VERIFY_STATE_OK, "free text",
			 &e),
	    -1);
	cr_expect_eq(manifest_set_verify_state(m, (enum verify_state)77, UPID,
			 &e),
	    -1);
	cr_expect_eq(manifest_set_notes(m, "\xff", &e), -1);
	cr_expect_eq(e.code, ERR_PARAM);
	memset(big, 'n', MANIFEST_NOTES_MAX + 1);
	big[MANIFEST_NOTES_MAX + 1] = '\0';
	cr_expect_eq(manifest_set_notes(m, big, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	big[MANIFEST_NOTES_MAX] = '\0';
	cr_expect_eq(manifest_set_notes(m, big, &e), 0);
	cr_expect_eq(manifest_add_file(m, "a.blob", CRYPT_MODE_NONE, 1, &d, &e),
	    -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_expect_eq(manifest_add_file(m, "../a.blob", CRYPT_MODE_NONE, 1, &d,
			 &e),
	    -1);
	cr_expect_eq(manifest_add_file(m, "b.blob", CRYPT_MODE_NONE, 1, &d, &e),
	    0);
	cr_expect_eq(manifest_file_count(m), 3);
	free(big);
	manifest_free(m);
}

/* A verify_state counts only with both members right. */
Test(manifest, only_a_valid_upid_counts)
{
	static const char *const states[] = {
	    "{\"state\":\"failed\",\"upid\":\"x\"}",
	    "{\"state\":\"failed\"}",
	    "{\"state\":\"broken\",\"upid\":\"" UPID "\"}",
	    "{\"upid\":\"" UPID "\"}",
	    "{\"state\":1,\"upid\":\"" UPID "\"}",
	    "\"failed\"",
	    "null",
	};
	char json[1024];
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct manifest *m;

		snprintf(json, sizeof(json),
		    "{\"backup-type\":\"vm\",\"backup-id\":\"1\","
		    "\"backup-time\":1,\"files\":[],\"signature\":null,"
		    "\"unprotected\":{\"verify_state\":%s}}",
		    states[i]);
		m = parse(json);
		cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_NONE,
		    "%s", states[i]);
		manifest_free(m);
	}
}

#define HEAD "\"backup-type\":\"vm\",\"backup-id\":\"1\",\"backup-time\":1"
#define FILE1 "{\"filename\":\"a.fidx\",\"size\":1}"

Test(manifest, refuses_malformed)
{
	static const char *const bad[] = {
	    "",
	    "{",
	    "[]",
	    "null",
	    "{" HEAD "}",
	    "{" HEAD ",\"files\":{}}",
	    "{" HEAD ",\"files\":[1]}",
	    "{" HEAD ",\"files\":[null]}",
	    "{" HEAD ",\"files\":[{}]}",
	    "{" HEAD ",\"files\":[{\"filename\":\"a.fidx\"}]}",
	    "{" HEAD ",\"files\":[{\"filename\":\"a\",\"size\":1}]}",
	    "{" HEAD ",\"files\":[{\"filename\":\"/a.fidx\",\"size\":1}]}",
	    "{" HEAD ",\"files\":[{\"filename\":\"a.fidx\",\"size\":-1}]}",
	    "{" HEAD ",\"files\":[{\"filename\":\"a.fidx\",\"size\":1,"
	    "\"crypt-mode\":\"maybe\"}]}",
	    "{" HEAD ",\"files\":[{\"filename\":\"a.fidx\",\"size\":1,"
	    "\"csum\":\"01\"}]}",
	    "{" HEAD ",\"files\":[" FILE1 "," FILE1 "]}",
	    "{" HEAD ",\"files\":[],\"signature\":\"x\"}",
	    "{" HEAD ",\"files\":[],\"signature\":1}",
	    "{" HEAD ",\"files\":[],\"unprotected\":[]}",
	    "{" HEAD ",\"files\":[]}x",
	    "{\"backup-type\":\"xx\",\"backup-id\":\"1\",\"backup-time\":1,"
	    "\"files\":[]}",
	    "{\"backup-type\":\"vm\",\"backup-id\":\"..\",\"backup-time\":1,"
	    "\"files\":[]}",
	    "{\"backup-type\":\"vm\",\"backup-id\":\"1\",\"backup-time\":0,"
	    "\"files\":[]}",
	    "{\"backup-type\":\"vm\",\"backup-id\":\"1\","
	    "\"backup-time\":\"1\",\"files\":[]}",
	};
	struct manifest *m;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(manifest_parse(bad[i], strlen(bad[i]), &m, &e), -1,
		    "%s", bad[i]);
		cr_expect_eq(e.code, ERR_CORRUPT, "%s", bad[i]);
		cr_expect_eq(manifest_parse(bad[i], strlen(bad[i]), &m, NULL),
		    -1);
	}
	m = parse("{" HEAD ",\"files\":[],\"unprotected\":null}");
	cr_expect_eq(manifest_file_count(m), 0);
	manifest_free(m);
}

Test(manifest, limits)
{
	size_t n = MANIFEST_JSON_MAX + 1, depth = MANIFEST_DEPTH_MAX + 1, i;
	char *json = malloc(n + 1024);
	struct manifest *m;
	struct err e;

	memset(json, ' ', n);
	cr_expect_eq(manifest_parse(json, n, &m, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);

	strcpy(json, "{" HEAD ",\"files\":[],\"unprotected\":{\"x\":");
	for (i = 0; i < depth; i++)
		strcat(json, "[");
	for (i = 0; i < depth; i++)
		strcat(json, "]");
	strcat(json, "}}");
	cr_expect_eq(manifest_parse(json, strlen(json), &m, &e), -1);

	n = (size_t)sprintf(json, "{" HEAD ",\"files\":[");
	for (i = 0; i <= MANIFEST_FILES_MAX; i++)
		n += (size_t)sprintf(json + n,
		    "%s{\"filename\":\"%zu.blob\",\"size\":1}",
		    i > 0 ? "," : "", i);
	strcpy(json + n, "]}");
	cr_expect_eq(manifest_parse(json, strlen(json), &m, &e), -1);
	free(json);
}

Test(manifest, as_a_blob)
{
	struct blob_codec *codec = blob_codec_new();
	struct manifest *m = parse(UPLOADED), *again;
	struct blob_info info;
	uint8_t *blob;
	struct err e;
	size_t len;

	cr_assert_eq(manifest_to_blob(m, codec, &blob, &len, &e), 0);
	cr_assert_eq(blob_parse(blob, len, &info, &e), 0);
	cr_expect_eq(info.kind, BLOB_ZSTD);
	cr_assert_eq(manifest_from_blob(codec, blob, len, &again, &e), 0);
	manifest_strip_server_members(again);
	expect_json(again, imported);
	manifest_free(again);
	blob[len - 1] ^= 1;
	cr_expect_eq(manifest_from_blob(codec, blob, len, &again, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_eq(manifest_from_blob(codec, blob, 5, &again, &e), -1);
	free(blob);
	manifest_free(m);
	blob_codec_free(codec);
}

/* A megabyte of blanks is a small blob. */
Test(manifest, bomb)
{
	size_t n = 4 * MANIFEST_JSON_MAX, len;
	struct blob_codec *codec = blob_codec_new();
	char *json = malloc(n);
	uint8_t *blob = malloc(blob_encode_bound(n));
	struct manifest *m;
	struct err e;

	memset(json, ' ', n);
	blob_encode(codec, json, n, true, blob, blob_encode_bound(n), &len, &e);
	cr_expect_eq(manifest_from_blob(codec, blob, len, &m, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(json);
	free(blob);
	blob_codec_free(codec);
}
