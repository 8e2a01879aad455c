/* Indexes of both kinds from memory: every entry is inside the archive, and
 * the lookup finds it. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/index.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct index_entry entry;
	struct index_view v;
	struct digest csum;
	uint64_t i, found;
	struct err e;
	int whole;

	if (index_open_map(&v, data, len, &e) < 0)
		return 0;
	FUZZ_REQUIRE(v.count > 0);
	whole = index_csum(&v, &csum, &e) == 0;
	for (i = 0; i < v.count && i < 1000; i++) {
		if (index_get_entry(&v, i, &entry, &e) < 0) {
			FUZZ_REQUIRE(!whole);
			continue;
		}
		FUZZ_REQUIRE(entry.start < entry.end);
		FUZZ_REQUIRE(entry.end <= v.size);
		if (!whole)
			continue;
		FUZZ_REQUIRE(index_find(&v, entry.start, &found, &e) == 0);
		FUZZ_REQUIRE(found == i);
	}
	FUZZ_REQUIRE(index_get_entry(&v, v.count, &entry, &e) < 0);
	return 0;
}
