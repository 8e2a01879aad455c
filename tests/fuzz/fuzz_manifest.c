/* Manifests, as JSON and as blob: what was accepted prints to something that
 * is accepted and prints the same. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/manifest.h"

static void
check(struct manifest *m, const uint8_t *data, size_t data_len)
{
	struct manifest_stats stats;
	struct manifest *again;
	char *json, *json2;
	size_t len, len2;
	struct err e;

	manifest_notes(m);
	manifest_key_fingerprint(m);
	manifest_get_stats(m, &stats);
	manifest_strip_server_members(m);
	FUZZ_REQUIRE(manifest_verify_state(m)->state == VERIFY_STATE_NONE);
	/* Pretty printing may make it too long. */
	if (manifest_to_json(m, &json, &len, &e) < 0)
		return;
	fuzz_same(data, data_len, json, len);
	if (manifest_parse(json, len, &again, &e) == 0) {
		FUZZ_REQUIRE(manifest_to_json(again, &json2, &len2, &e) == 0);
		FUZZ_REQUIRE(len == len2 && memcmp(json, json2, len) == 0);
		free(json2);
		manifest_free(again);
	} else {
		FUZZ_REQUIRE(e.code == ERR_NOMEM);
	}
	free(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct blob_codec *codec;
	struct manifest *m;
	struct err e;

	if (codec == NULL)
		codec = blob_codec_new();
	if (manifest_parse(data, len, &m, &e) == 0 ||
	    manifest_from_blob(codec, data, len, &m, &e) == 0) {
		check(m, data, len);
		manifest_free(m);
	}
	return 0;
}
