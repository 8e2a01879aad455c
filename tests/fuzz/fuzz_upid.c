/* UPIDs: what parses can be built, and means the same. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/upid.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s = fuzz_string(data, len), out[UPID_STR_MAX + 1];
	struct upid u, again;

	/* Escaping what was not escaped may make it too long. */
	if (upid_parse(&u, s, NULL) == 0 && upid_to_str(&u, out, NULL) == 0) {
		FUZZ_REQUIRE(upid_parse(&again, out, NULL) == 0);
		FUZZ_REQUIRE(memcmp(&u, &again, sizeof(u)) == 0);
	}
	free(s);
	return 0;
}
