/* Owner files, which another server may have written: what is taken from one
 * is a user or token, and written back it is the same. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/auth_id.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct err e = {.code = ERR_OK};
	struct auth_id owner, again;
	char line[AUTH_ID_MAX + 1];

	if (auth_id_parse_owner(&owner, (const char *)data, len, &e) == -1) {
		FUZZ_REQUIRE(e.code == ERR_CORRUPT && e.msg[0] != '\0');
		return 0;
	}
	auth_id_to_str(&owner, line);
	FUZZ_REQUIRE(auth_id_parse_owner(&again, line, strlen(line), &e) == 0);
	FUZZ_REQUIRE(memcmp(&owner, &again, sizeof(owner)) == 0);
	return 0;
}
