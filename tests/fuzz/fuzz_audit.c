/* Audit logs: whatever a file holds, its check ends with a verdict, and the
 * process that goes on with the chain finds its end or begins anew. */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

#include "common/audit.h"
#include "common/err.h"

static void
empty_folder(void)
{
	int fd = dup(fuzz_folder());
	DIR *dir = fdopendir(fd);
	struct dirent *d;

	FUZZ_REQUIRE(dir != NULL);
	rewinddir(dir);
	while ((d = readdir(dir)) != NULL)
		unlinkat(fd, d->d_name, 0);
	closedir(dir);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct err e = {.code = ERR_OK};
	static const struct audit_limits limits = {1 << 20, 4};
	struct audit_report before, after;
	struct audit *a;
	int good;

	fuzz_folder();
	fuzz_folder_put(AUDIT_FILE, data, len);
	good = audit_verify(fuzz_folder_path, &before, &e) == 0;
	FUZZ_REQUIRE(good || e.msg[0] != '\0');
	if (good)
		fuzz_same(data, len, &before, sizeof(before));
	if (audit_open(&a, fuzz_folder_path, &limits, &e) == 0) {
		audit_add(a, "fuzz", "key", "value", NULL);
		audit_close(a == NULL ? NULL : &a);
		if (good) {
			FUZZ_REQUIRE(
			    audit_verify(fuzz_folder_path, &after, &e) == 0);
			FUZZ_REQUIRE(after.last > before.last);
		}
	}
	empty_folder();
	return 0;
}
