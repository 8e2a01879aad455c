/*
 * What a checker judges: an upload or a stored file, as chunk, blob and
 * manifest.  The first byte of the input chooses; for a chunk the next four
 * are its size, and its digest is either the right one or none.
 */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "validator/judge.h"

static void
try_chunk(struct judge *j, const uint8_t *data, size_t len, int stored)
{
	struct judge_chunk out;
	struct digest d = {{0}};
	uint8_t *copy;
	uint32_t size;
	struct err e = {.code = ERR_OK};
	int rv;

	if (len < sizeof(size))
		return;
	memcpy(&size, data, sizeof(size));
	data += sizeof(size);
	len -= sizeof(size);
	copy = xmalloc(len + 1);
	memcpy(copy, data, len);
	rv = stored ? judge_stored_chunk(j, copy, len, &d, size, &out, &e)
		    : judge_chunk(j, copy, data, len, &d, size, &out, &e);
	if (rv == 0) {
		FUZZ_REQUIRE(out.encoded_len == len);
		/* Nobody knows bytes whose digest is all zero. */
		FUZZ_REQUIRE(!out.verified);
	} else {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	}
	if (stored)
		FUZZ_REQUIRE(len == 0 || memcmp(copy, data, len) == 0);
	free(copy);
}

static void
try_blob(struct judge *j, const uint8_t *data, size_t len)
{
	struct judge_blob up, stored;
	struct err e;

	if (judge_blob(j, data, len, &up, &e) == -1)
		return;
	FUZZ_REQUIRE(up.encoded_len == len);
	if (judge_stored_blob(j, data, len, &up.csum, len, &stored, &e) == 0)
		FUZZ_REQUIRE(digest_equal(&up.csum, &stored.csum));
}

/* What the server writes into a manifest it can read back. */
static void
try_manifest(struct judge *j, const uint8_t *data, size_t len)
{
	static const struct manifest_stats stats = {.count = 1};
	struct backup_snapshot snap;
	struct judge_manifest m;
	struct err e;

	if (judge_manifest_read(j, data, len, &m, &e) == -1)
		return;
	snap = m.snapshot;
	if (judge_manifest_import(j, data, len, &snap, &m, &e) == 0)
		FUZZ_REQUIRE(m.verify_state == VERIFY_STATE_NONE);
	if (judge_manifest_notes(j, data, len, "notes", &m, &e) == 0)
		FUZZ_REQUIRE(strcmp(manifest_notes(m.manifest), "notes") == 0);
	if (judge_manifest_finish(j, data, len, &snap, &stats, &m, &e) == 0)
		FUZZ_REQUIRE(snapshot_equal(&m.snapshot, &snap));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct judge *j;

	if (j == NULL)
		j = judge_new();
	if (len == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		try_chunk(j, data + 1, len - 1, 0);
		break;
	case 1:
		try_chunk(j, data + 1, len - 1, 1);
		break;
	case 2:
		try_blob(j, data + 1, len - 1);
		break;
	default:
		try_manifest(j, data + 1, len - 1);
		break;
	}
	return 0;
}
