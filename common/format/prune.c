/*
 * Keep rules.  Runs where a prune is asked for, on facts that the validator
 * collected; pure arithmetic on times.
 */
#include "config.h"

#include "common/format/prune.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"

/* The period that a local time falls into, as a number that grows with it;
 * NULL stands for the snapshot itself. */
struct rule {
	uint64_t count;
	uint64_t (*period)(const struct tm *tm);
};

/* Periods as numbers, newest first.  Local time mostly runs with real time,
 * so additions come at the end, but not always: clocks that are set back
 * over midnight return to the day before. */
struct key_set {
	uint64_t *keys;
	size_t n;
};

bool
prune_rules_empty(const struct prune_rules *r)
{
	return (r->last | r->hourly | r->daily | r->weekly | r->monthly |
		   r->yearly) == 0;
}

const char *
prune_mark_str(enum prune_mark mark)
{
	static const char *const names[] = {
	    [PRUNE_NONE] = "none",
	    [PRUNE_KEEP] = "keep",
	    [PRUNE_KEEP_PARTIAL] = "keep-partial",
	    [PRUNE_REMOVE] = "remove",
	    [PRUNE_PROTECTED] = "protected",
	};

	return names[mark];
}

static int
newest_first(const void *a, const void *b)
{
	const struct prune_item *x = a, *y = b;

	return x->time > y->time ? -1 : x->time < y->time;
}

static uint64_t
year_of(const struct tm *tm)
{
	return (uint64_t)tm->tm_year + 1900;
}

static uint64_t
month_of(const struct tm *tm)
{
	return year_of(tm) * 100 + (uint64_t)tm->tm_mon;
}

static uint64_t
day_of(const struct tm *tm)
{
	return month_of(tm) * 100 + (uint64_t)tm->tm_mday;
}

static uint64_t
hour_of(const struct tm *tm)
{
	return day_of(tm) * 100 + (uint64_t)tm->tm_hour;
}

/* ISO week, in the ISO year that it belongs to */
static uint64_t
week_of(const struct tm *tm)
{
	char text[16];

	strftime(text, sizeof(text), "%G%V", tm);
	return strtoull(text, NULL, 10);
}

static uint64_t
period_of(const struct rule *rule, int64_t t)
{
	time_t tt = (time_t)t;
	struct tm tm;

	if (rule->period == NULL || localtime_r(&tt, &tm) == NULL)
		return (uint64_t)t;
	return rule->period(&tm);
}

/* Place of the first key that is not greater. */
static size_t
key_set_place(const struct key_set *s, uint64_t key)
{
	size_t low = 0, high = s->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (s->keys[mid] > key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
key_set_has(const struct key_set *s, uint64_t key)
{
	size_t i = key_set_place(s, key);

	return i < s->n && s->keys[i] == key;
}

static void
key_set_add(struct key_set *s, uint64_t key)
{
	size_t i = key_set_place(s, key);

	if (i < s->n && s->keys[i] == key)
		return;
	memmove(&s->keys[i + 1], &s->keys[i], (s->n - i) * sizeof(s->keys[0]));
	s->keys[i] = key;
	s->n++;
}

/* One rule over the list.  Both sets have room for n keys. */
static void
apply_rule(const struct rule *rule, struct prune_item *items, size_t n,
    struct key_set *covered, struct key_set *seen)
{
	struct prune_item *it;
	uint64_t key;

	covered->n = seen->n = 0;
	for (it = items; it < items + n; it++) {
		if (it->mark == PRUNE_KEEP)
			key_set_add(covered, period_of(rule, it->time));
	}
	for (it = items; it < items + n; it++) {
		if (it->mark != PRUNE_NONE)
			continue;
		if (it->is_protected) {
			it->mark = PRUNE_PROTECTED;
			continue;
		}
		key = period_of(rule, it->time);
		if (key_set_has(covered, key))
			continue; /* a later rule may still keep it */
		if (key_set_has(seen, key)) {
			it->mark = PRUNE_REMOVE;
			continue;
		}
		if (seen->n == rule->count)
			return;
		key_set_add(seen, key);
		it->mark = PRUNE_KEEP;
	}
}

void
prune_mark_group(const struct prune_rules *rules, struct prune_item *items,
    size_t n)
{
	const struct rule table[] = {
	    {rules->last, NULL},
	    {rules->hourly, hour_of},
	    {rules->daily, day_of},
	    {rules->weekly, week_of},
	    {rules->monthly, month_of},
	    {rules->yearly, year_of},
	};
	bool keep_all = prune_rules_empty(rules);
	struct key_set covered, seen;
	size_t i;

	if (n == 0)
		return;
	qsort(items, n, sizeof(*items), newest_first);
	for (i = 0; i < n; i++) {
		items[i].mark = PRUNE_NONE;
		if (!items[i].finished)
			items[i].mark =
			    i == 0 ? PRUNE_KEEP_PARTIAL : PRUNE_REMOVE;
	}
	covered.keys = xcalloc(n, sizeof(uint64_t));
	seen.keys = xcalloc(n, sizeof(uint64_t));
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].count > 0)
			apply_rule(&table[i], items, n, &covered, &seen);
	}
	free(covered.keys);
	free(seen.keys);
	for (i = 0; i < n; i++) {
		if (items[i].is_protected)
			items[i].mark = PRUNE_PROTECTED;
		else if (keep_all)
			items[i].mark = PRUNE_KEEP;
		else if (items[i].mark == PRUNE_NONE)
			items[i].mark = PRUNE_REMOVE;
	}
}
