/*
 * Listings as a worker gets them from the validator, with what clients made in
 * them, and the JSON that it makes of them; the status of a collection, which
 * another server may have written.  The first byte of the input chooses.
 */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/json.h"
#include "server/render.h"

static struct json *
prune(const uint8_t *recs, size_t len, struct err *e)
{
	return render_prune(recs, len, 1, e);
}

static struct json *
gc_status(const uint8_t *recs, size_t len, struct err *e)
{
	char *text = fuzz_string(recs, len);
	struct json *j = render_gc_status(text, len, e);

	free(text);
	return j;
}

static struct json *(*const renderers[])(const uint8_t *recs, size_t len,
    struct err *e) = {
    render_stores,
    render_status,
    render_namespaces,
    render_groups,
    render_snapshots,
    render_files,
    render_notes,
    render_task_status,
    render_lines,
    render_log_text,
    prune,
    render_tasks,
    gc_status,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct err e = {.code = ERR_OK};
	struct json *j;
	char *text;
	size_t n;

	if (len < 1)
		return 0;
	j = renderers[data[0] % (sizeof(renderers) / sizeof(renderers[0]))](
	    data + 1, len - 1, &e);
	if (j != NULL) {
		text = json_compact(j, &n);
		fuzz_same(data, len, text, n);
		free(text);
	} else {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	}
	json_free(&j);
	return 0;
}
