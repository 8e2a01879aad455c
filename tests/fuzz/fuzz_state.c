/*
 * The validator's own small files, as an older version, a power cut or a hand
 * may have left them: they are taken, or begun anew, or refused.  The first
 * byte of the input chooses the file.
 */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "validator/store/bitmap.h"
#include "validator/store/damage.h"
#include "validator/store/deposit_log.h"
#include "validator/store/poison.h"
#include "validator/store/session_page.h"

/* 1 if it is open.  Damage alone never keeps it shut. */
static int
open_state(struct store_state **st, struct store_state_info *info)
{
	struct err e;

	if (store_state_open(st, fuzz_folder(), "s", &e) == -1) {
		FUZZ_REQUIRE(e.code == ERR_NOMEM);
		return 0;
	}
	store_state_get(*st, info);
	return 1;
}

static void
try_store_state(const uint8_t *data, size_t len)
{
	struct store_state_info info, again;
	struct store_state *st;

	fuzz_folder_put("s.store", data, len);
	if (!open_state(&st, &info))
		return;
	FUZZ_REQUIRE(memchr(info.reason, '\0', sizeof(info.reason)) != NULL);
	FUZZ_REQUIRE(store_state_is_poisoned(st) == info.poisoned);
	store_state_close(&st, true);
	if (!open_state(&st, &again))
		return;
	FUZZ_REQUIRE(again.poisoned == info.poisoned);
	FUZZ_REQUIRE(again.was_clean != info.poisoned);
	FUZZ_REQUIRE(again.suspect_from == info.suspect_from);
	FUZZ_REQUIRE(again.suspect_to == info.suspect_to);
	store_state_close(&st, true);
}

static void
try_damage(const uint8_t *data, size_t len)
{
	struct digest *all;
	struct damage *d;
	struct err e;
	size_t n, i;

	fuzz_folder_put("damaged-s", data, len);
	if (damage_open(&d, fuzz_folder(), "s", &e) == -1) {
		FUZZ_REQUIRE(e.code == ERR_NOMEM);
		return;
	}
	all = damage_dup(d, &n);
	fuzz_same(data, len, all, n * sizeof(*all));
	FUZZ_REQUIRE(n == damage_count(d) && n <= DAMAGE_MAX);
	FUZZ_REQUIRE((damage_overflows(d) != 0) == damage_is_overflowed(d));
	for (i = 0; i < n; i++) {
		FUZZ_REQUIRE(damage_has(d, &all[i]));
		FUZZ_REQUIRE(
		    i == 0 || memcmp(all[i - 1].b, all[i].b, DIGEST_LEN) < 0);
	}
	for (i = 0; i < n; i++)
		FUZZ_REQUIRE(damage_heal(d, &all[i]));
	FUZZ_REQUIRE(damage_count(d) == 0);
	free(all);
	damage_close(&d);
}

static void
try_page(const uint8_t *data, size_t len)
{
	struct session_page *page;
	struct err e;

	fuzz_folder_put("page", data, len);
	if (session_page_open(&page, fuzz_folder(), &e) == -1)
		return;
	FUZZ_REQUIRE(page->magic == SESSION_PAGE_MAGIC);
	FUZZ_REQUIRE(page->version == SESSION_PAGE_VERSION);
	session_page_close(&page);
}

static void
try_bitmap(const uint8_t *data, size_t len)
{
	struct bitmap b;
	struct err e;
	uint64_t i;

	fuzz_folder_put("bits", data, len);
	if (bitmap_open(&b, fuzz_folder(), "bits", 100, &e) == -1)
		return;
	for (i = 0; i < 100; i++)
		bitmap_get(&b, i);
	bitmap_fini(&b);
}

static void
try_deposits(const uint8_t *data, size_t len)
{
	uint64_t count;
	struct digest d;
	struct err e;
	uint32_t size, i;
	int fd;

	fuzz_folder_put(DEPOSIT_LOG_NAME, data, len);
	fd = deposit_log_open(fuzz_folder(), &e);
	FUZZ_REQUIRE(fd != -1);
	FUZZ_REQUIRE(deposit_log_count(fd, &count, &e) == 0);
	for (i = 0; i <= count; i++)
		if (deposit_log_get(fd, i, &d, &size, &e) == 0)
			FUZZ_REQUIRE(i < count && size > 0);
	close(fd);
}

static void (*const files[])(const uint8_t *data, size_t len) = {
    try_store_state,
    try_damage,
    try_page,
    try_bitmap,
    try_deposits,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 0)
		files[data[0] % (sizeof(files) / sizeof(files[0]))](data + 1,
		    len - 1);
	return 0;
}
