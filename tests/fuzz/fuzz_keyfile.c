/* Client key files: parsing, and printing what was accepted.  Never unlocks
 * under a passphrase: that is slow by design. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/keyfile.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t key[CRYPT_KEY_LEN];
	struct keyfile k, again;
	size_t json_len;
	struct err e;
	char *json;

	if (keyfile_parse((const char *)data, len, &k, &e) < 0)
		return 0;
	FUZZ_REQUIRE(keyfile_to_json(&k, &json, &json_len, &e) == 0);
	FUZZ_REQUIRE(keyfile_parse(json, json_len, &again, &e) == 0);
	FUZZ_REQUIRE(again.data_len == k.data_len && again.kdf == k.kdf);
	free(json);
	if (k.kdf == KEYFILE_KDF_NONE)
		keyfile_unlock(&k, NULL, key, &e);
	return 0;
}
