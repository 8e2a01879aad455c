/* The index of ended tasks and a task's log, whose lines hold text from
 * outside: the input is taken for both. */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "common/err.h"
#include "common/msg.h"
#include "validator/task.h"
#include "validator/task_read.h"

#define UPID                                             \
	"UPID:host:0000A1B2:0000C3D4:00000001:6B0308D8:" \
	"verify:store:a@pbs:"

struct seen {
	uint64_t n;
};

static void
on_task(void *arg, const char *upid, int64_t endtime, const char *status)
{
	struct seen *s = arg;
	struct upid u;

	FUZZ_REQUIRE(upid_parse(&u, upid, NULL) == 0);
	FUZZ_REQUIRE(endtime != 0 && status != NULL);
	s->n++;
}

static int
on_line(void *arg, uint64_t n, const char *text, size_t len)
{
	struct seen *s = arg;

	FUZZ_REQUIRE(n == ++s->n && len < TASK_LINE_MAX);
	FUZZ_REQUIRE(text[len] == '\0' && memchr(text, '\n', len) == NULL);
	return 0;
}

static void
list(int dir)
{
	static const struct task_filter all,
	    some = {
		.limit = 2,
		.store = "store",
		.user = "a@pbs",
		.flags = TASK_FLAG_ERRORS,
	    };
	struct seen s = {0};
	uint64_t total;

	if (task_list(dir, NULL, 0, &all, on_task, &s, &total, NULL) == 0)
		FUZZ_REQUIRE(total == s.n);
	s.n = 0;
	if (task_list(dir, NULL, 0, &some, on_task, &s, &total, NULL) == 0)
		FUZZ_REQUIRE(s.n <= 2 && total >= s.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int dir = fuzz_folder();
	char name[TASK_NAME_MAX], status[256];
	struct seen s = {0};
	int64_t endtime;
	uint64_t total;
	struct upid u;

	FUZZ_REQUIRE(upid_parse(&u, UPID, NULL) == 0);
	task_log_name(&u, name);
	*strchr(name, '/') = '\0';
	mkdirat(dir, name, 0700);
	task_log_name(&u, name);
	fuzz_folder_put("index", data, len);
	fuzz_folder_put(name, data, len);
	list(dir);
	if (task_log_read(dir, &u, 0, 0, on_line, &s, &total, NULL) == 0)
		FUZZ_REQUIRE(total == s.n);
	if (task_log_status(dir, &u, status, sizeof(status), &endtime, NULL) ==
	    0)
		FUZZ_REQUIRE(status[0] != '\0' || endtime != 0);
	return 0;
}
