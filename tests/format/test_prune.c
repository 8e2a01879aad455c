/*
 * Keep rules against a calendar made by hand.  Each test states its time
 * zone: periods are local.
 */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/format/prune.h"
#include "common/format/snapshot.h"

#define ITEMS_MAX 64

/* Snapshots by their UTC time; "*" at the end: protected, "?": unfinished. */
static size_t
make(struct prune_item *items, const char *const *times)
{
	char t[BACKUP_TIME_LEN + 1];
	size_t n;

	for (n = 0; times[n] != NULL; n++) {
		cr_assert(n < ITEMS_MAX);
		memset(&items[n], 0, sizeof(items[n]));
		memcpy(t, times[n], BACKUP_TIME_LEN);
		t[BACKUP_TIME_LEN] = '\0';
		cr_assert_eq(backup_time_parse(t, &items[n].time, NULL), 0,
		    "%s", t);
		items[n].finished = strchr(times[n], '?') == NULL;
		items[n].is_protected = strchr(times[n], '*') != NULL;
	}
	return n;
}

/* marks: one letter per snapshot, newest first: k(eep), r(emove),
 * P(rotected), p(artial). */
static void
expect(const char *tz, struct prune_rules rules, const char *const *times,
    const char *marks)
{
	static const char letters[] = {
	    [PRUNE_NONE] = '!',
	    [PRUNE_KEEP] = 'k',
	    [PRUNE_KEEP_PARTIAL] = 'p',
	    [PRUNE_REMOVE] = 'r',
	    [PRUNE_PROTECTED] = 'P',
	};
	struct prune_item items[ITEMS_MAX];
	char have[ITEMS_MAX + 1] = {0};
	size_t i, n = make(items, times);

	setenv("TZ", tz, 1);
	tzset();
	prune_mark_group(&rules, items, n);
	for (i = 0; i < n; i++) {
		cr_expect(i == 0 || items[i - 1].time >= items[i].time);
		have[i] = letters[items[i].mark];
	}
	cr_expect_str_eq(have, marks);
}

#define TIMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define RULES(...) ((struct prune_rules){__VA_ARGS__})

Test(prune, without_rules_everything_stays)
{
	expect("UTC", RULES(0),
	    TIMES("2024-01-03T00:00:00Z?", "2024-01-02T00:00:00Z",
		"2024-01-01T00:00:00Z*", "2023-01-01T00:00:00Z?"),
	    "kkPk");
	cr_expect(prune_rules_empty(&RULES(0)));
	cr_expect_not(prune_rules_empty(&RULES(.yearly = 1)));
}

Test(prune, nothing_to_prune)
{
	struct prune_rules rules = {.last = 1};

	prune_mark_group(&rules, NULL, 0);
}

Test(prune, last_counts_snapshots)
{
	expect("UTC", RULES(.last = 2),
	    TIMES("2024-01-01T00:00:00Z", "2024-01-04T00:00:00Z",
		"2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"),
	    "kkrr");
	expect("UTC", RULES(.last = UINT64_MAX),
	    TIMES("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), "kk");
}

Test(prune, daily_keeps_the_newest_of_each_day)
{
	expect("UTC", RULES(.daily = 2),
	    TIMES("2024-01-03T23:00:00Z", "2024-01-03T01:00:00Z",
		"2024-01-02T22:00:00Z", "2024-01-02T21:00:00Z",
		"2024-01-01T12:00:00Z"),
	    "krkrr");
}

Test(prune, gaps_do_not_count)
{
	expect("UTC", RULES(.monthly = 3),
	    TIMES("2024-06-01T00:00:00Z", "2023-02-03T00:00:00Z",
		"2022-12-31T23:59:59Z", "2022-12-01T00:00:00Z",
		"2020-01-01T00:00:00Z"),
	    "kkkrr");
}

Test(prune, unfinished)
{
	/* only the very newest may still become whole */
	expect("UTC", RULES(.last = 1),
	    TIMES("2024-01-04T00:00:00Z?", "2024-01-03T00:00:00Z?",
		"2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"),
	    "prkr");
	expect("UTC", RULES(.last = 1),
	    TIMES("2024-01-04T00:00:00Z", "2024-01-03T00:00:00Z?",
		"2024-01-02T00:00:00Z*?"),
	    "krP");
}

Test(prune, protected_takes_no_place)
{
	/* neither a slot nor the day */
	expect("UTC", RULES(.daily = 2),
	    TIMES("2024-01-03T12:00:00Z*", "2024-01-03T06:00:00Z",
		"2024-01-02T12:00:00Z", "2024-01-01T12:00:00Z"),
	    "Pkkr");
}

/* A period that an earlier rule kept does not count for the next rule, and
 * what stays unmarked there may be kept by a later one. */
Test(prune, rules_build_on_each_other)
{
	expect("UTC", RULES(.last = 1, .daily = 2),
	    TIMES("2024-01-04T12:00:00Z", "2024-01-04T06:00:00Z",
		"2024-01-03T12:00:00Z", "2024-01-02T12:00:00Z",
		"2024-01-01T12:00:00Z"),
	    "krkkr");
	/* What daily removed, weekly does not rescue. */
	expect("UTC", RULES(.daily = 1, .weekly = 2),
	    TIMES("2024-01-12T12:00:00Z", "2024-01-12T06:00:00Z",
		"2024-01-11T12:00:00Z", "2024-01-05T12:00:00Z",
		"2024-01-04T12:00:00Z", "2023-12-29T12:00:00Z",
		"2023-12-20T12:00:00Z"),
	    "krrkrkr");
}

Test(prune, iso_weeks_at_the_turn_of_the_year)
{
	/* 2020-12-28 .. 2021-01-03 is week 53 of 2020 */
	expect("UTC", RULES(.weekly = 3),
	    TIMES("2021-01-04T00:00:00Z", "2021-01-03T23:59:59Z",
		"2021-01-01T12:00:00Z", "2020-12-28T00:00:00Z",
		"2020-12-27T23:59:59Z", "2020-12-21T00:00:00Z",
		"2020-12-20T12:00:00Z"),
	    "kkrrkrr");
	/* 2024-12-30 belongs to week 1 of 2025: not the week of 2024-01-01 */
	expect("UTC", RULES(.weekly = 2),
	    TIMES("2024-12-30T12:00:00Z", "2024-01-01T12:00:00Z",
		"2023-12-31T12:00:00Z"),
	    "kkr");
	expect("UTC", RULES(.yearly = 2),
	    TIMES("2021-01-01T00:00:00Z", "2020-12-31T23:59:59Z",
		"2020-01-01T00:00:00Z", "2019-12-31T00:00:00Z"),
	    "kkrr");
}

Test(prune, periods_are_local)
{
	const char *const *times = TIMES("2024-01-02T00:30:00Z",
	    "2024-01-01T23:30:00Z", "2024-01-01T22:30:00Z");

	expect("UTC", RULES(.daily = 5), times, "kkr");
	/* an hour east they are 01:30, 00:30 and 23:30 */
	expect("CET-1", RULES(.daily = 5), times, "krk");
	expect("EST5", RULES(.daily = 5), times, "krr");
	/* half an hour: hours split elsewhere */
	expect("UTC", RULES(.hourly = 5),
	    TIMES("2024-01-01T10:20:00Z", "2024-01-01T09:40:00Z"), "kk");
	expect("IST-5:30", RULES(.hourly = 5),
	    TIMES("2024-01-01T10:20:00Z", "2024-01-01T09:40:00Z"), "kr");
}

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

Test(prune, daylight_saving)
{
	/* Set back on 2024-10-27 at 01:00Z: 02:30 local is there twice, one
	 * hour to the rules. */
	expect(BERLIN, RULES(.hourly = 9),
	    TIMES("2024-10-27T02:30:00Z", "2024-10-27T01:30:00Z",
		"2024-10-27T00:30:00Z", "2024-10-26T23:30:00Z"),
	    "kkrk");
	/* The day has 25 hours: 22:00Z of the day before until 23:00Z. */
	expect(BERLIN, RULES(.daily = 9),
	    TIMES("2024-10-27T23:00:00Z", "2024-10-27T22:59:59Z",
		"2024-10-26T22:00:00Z", "2024-10-26T21:59:59Z"),
	    "kkrk");
	/* Set forward on 2024-03-31: the day ends at 22:00Z. */
	expect(BERLIN, RULES(.daily = 9),
	    TIMES("2024-03-31T22:00:00Z", "2024-03-31T21:59:59Z",
		"2024-03-30T23:00:00Z", "2024-03-30T22:59:59Z"),
	    "kkrk");
}

#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "LHST-10:30LHDT-11,M10.1.0,M4.1.0" /* half an hour */
#define SYDNEY "AEST-10AEDT,M10.1.0,M4.1.0/3"

/* The same switches west of Greenwich: on 2024-03-10 at 07:00Z, and back on
 * 2024-11-03 at 06:00Z. */
Test(prune, daylight_saving_in_new_york)
{
	/* 01:30 and 03:00: 02 is left out */
	expect(NEW_YORK, RULES(.hourly = 9),
	    TIMES("2024-03-10T07:30:00Z", "2024-03-10T07:00:00Z",
		"2024-03-10T06:59:59Z", "2024-03-10T06:00:00Z"),
	    "krkr");
	/* 23 hours: 05:00Z until 04:00Z */
	expect(NEW_YORK, RULES(.daily = 9),
	    TIMES("2024-03-11T04:00:00Z", "2024-03-11T03:59:59Z",
		"2024-03-10T05:00:00Z", "2024-03-10T04:59:59Z"),
	    "kkrk");
	/* 01:30 comes twice, and is one hour */
	expect(NEW_YORK, RULES(.hourly = 9),
	    TIMES("2024-11-03T07:30:00Z", "2024-11-03T06:30:00Z",
		"2024-11-03T05:30:00Z", "2024-11-03T04:30:00Z"),
	    "kkrk");
	/* 25 hours: 04:00Z until 05:00Z */
	expect(NEW_YORK, RULES(.daily = 9),
	    TIMES("2024-11-04T05:00:00Z", "2024-11-04T04:59:59Z",
		"2024-11-03T04:00:00Z", "2024-11-03T03:59:59Z"),
	    "kkrk");
	/* both weeks: 167 and 169 hours */
	expect(NEW_YORK, RULES(.weekly = 9),
	    TIMES("2024-11-04T05:00:00Z", "2024-11-04T04:59:59Z",
		"2024-10-28T04:00:00Z", "2024-10-28T03:59:59Z",
		"2024-03-11T04:00:00Z", "2024-03-11T03:59:59Z",
		"2024-03-04T05:00:00Z", "2024-03-04T04:59:59Z"),
	    "kkrkkkrk");
}

/* The other half of the year: back on 2024-04-07, forward on 2024-10-06, both
 * at 16:00Z of the day before. */
Test(prune, daylight_saving_in_sydney)
{
	expect(SYDNEY, RULES(.daily = 9),
	    TIMES("2024-04-07T14:00:00Z", "2024-04-07T13:59:59Z",
		"2024-04-06T13:00:00Z", "2024-04-06T12:59:59Z"),
	    "kkrk");
	expect(SYDNEY, RULES(.hourly = 9),
	    TIMES("2024-04-06T17:30:00Z", "2024-04-06T16:30:00Z",
		"2024-04-06T15:30:00Z", "2024-04-06T14:30:00Z"),
	    "kkrk");
	expect(SYDNEY, RULES(.daily = 9),
	    TIMES("2024-10-06T13:00:00Z", "2024-10-06T12:59:59Z",
		"2024-10-05T14:00:00Z", "2024-10-05T13:59:59Z"),
	    "kkrk");
	expect(SYDNEY, RULES(.hourly = 9),
	    TIMES("2024-10-05T16:30:00Z", "2024-10-05T16:00:00Z",
		"2024-10-05T15:59:59Z", "2024-10-05T15:00:00Z"),
	    "krkr");
}

/* Half an hour: 02:00 becomes 02:30 on 2024-10-06 at 15:30Z of the day before,
 * and 01:30 comes again on 2024-04-07 at 15:00Z of the day before. */
Test(prune, daylight_saving_by_half_an_hour)
{
	expect(LORD_HOWE, RULES(.hourly = 9),
	    TIMES("2024-10-05T16:00:00Z", "2024-10-05T15:59:59Z",
		"2024-10-05T15:30:00Z", "2024-10-05T15:29:59Z"),
	    "kkrk");
	expect(LORD_HOWE, RULES(.hourly = 9),
	    TIMES("2024-04-06T15:30:00Z", "2024-04-06T15:29:59Z",
		"2024-04-06T15:00:00Z", "2024-04-06T14:00:00Z",
		"2024-04-06T13:59:59Z"),
	    "kkrrk");
}

/* A clock that is set back over midnight: the 27th comes a second time, after
 * a minute of the 28th. */
Test(prune, day_that_comes_back)
{
	expect("XST3XDT,M3.5.0/0:01,M10.5.1/0:01", RULES(.daily = 9),
	    TIMES("2024-10-28T02:30:00Z", "2024-10-28T02:00:30Z",
		"2024-10-28T01:30:00Z"),
	    "kkr");
}

Test(prune, all_rules_together)
{
	expect("UTC",
	    RULES(.last = 1, .hourly = 1, .daily = 1, .weekly = 1, .monthly = 1,
		.yearly = 1),
	    TIMES("2024-05-15T12:30:00Z", "2024-05-15T12:10:00Z",
		"2024-05-15T11:10:00Z", "2024-05-14T10:00:00Z",
		"2024-05-06T10:00:00Z", "2024-04-20T10:00:00Z",
		"2023-04-20T10:00:00Z", "2022-04-20T10:00:00Z"),
	    "krkkkkkr");
}

Test(prune, names_of_marks)
{
	cr_expect_str_eq(prune_mark_str(PRUNE_KEEP), "keep");
	cr_expect_str_eq(prune_mark_str(PRUNE_KEEP_PARTIAL), "keep-partial");
	cr_expect_str_eq(prune_mark_str(PRUNE_REMOVE), "remove");
	cr_expect_str_eq(prune_mark_str(PRUNE_PROTECTED), "protected");
}

/* Weeks, months and years turn at the midnight of the place. */
Test(prune, long_periods_are_local)
{
	const char *const *turn = TIMES("2023-12-31T23:30:00Z",
	    "2023-12-31T22:30:00Z", "2023-11-30T12:00:00Z");

	expect("UTC", RULES(.yearly = 9), turn, "krr");
	expect("CET-1", RULES(.yearly = 9), turn, "kkr");
	expect("UTC", RULES(.monthly = 9), turn, "krk");
	expect("CET-1", RULES(.monthly = 9), turn, "kkk");
	/* 2024-01-01 is a Monday */
	expect("UTC", RULES(.weekly = 2), turn, "krk");
	expect("CET-1", RULES(.weekly = 2), turn, "kkr");
	/* the far side of the date line */
	expect("LINT-14", RULES(.daily = 9),
	    TIMES("2024-02-29T10:00:00Z", "2024-02-29T09:59:59Z",
		"2024-02-28T10:00:00Z", "2024-02-28T09:59:59Z"),
	    "kkrk");
}

/* A week, month and year with a change of the clock in them. */
Test(prune, long_periods_and_daylight_saving)
{
	/* Monday 00:00 in Berlin, in winter and in summer */
	expect(BERLIN, RULES(.weekly = 9),
	    TIMES("2024-03-31T22:00:00Z", "2024-03-31T21:59:59Z",
		"2024-03-24T23:00:00Z", "2024-03-24T22:59:59Z"),
	    "kkrk");
	expect(BERLIN, RULES(.weekly = 9),
	    TIMES("2024-10-27T23:00:00Z", "2024-10-27T22:59:59Z",
		"2024-10-20T22:00:00Z", "2024-10-20T21:59:59Z"),
	    "kkrk");
	/* the first of a month */
	expect(BERLIN, RULES(.monthly = 9),
	    TIMES("2024-10-31T23:00:00Z", "2024-10-31T22:59:59Z",
		"2024-09-30T22:00:00Z", "2024-09-30T21:59:59Z"),
	    "kkrk");
	/* The south: summer over the turn of the year. */
	expect("AEST-10AEDT,M10.1.0,M4.1.0/3", RULES(.yearly = 9),
	    TIMES("2023-12-31T13:00:00Z", "2023-12-31T12:59:59Z",
		"2022-12-31T13:00:00Z", "2022-12-31T12:59:59Z"),
	    "kkrk");
}

/* The hour that does not exist: nothing falls into it, its neighbours are two
 * hours all the same. */
Test(prune, hours_around_the_missing_one)
{
	expect(BERLIN, RULES(.hourly = 9),
	    TIMES("2024-03-31T01:30:00Z", "2024-03-31T01:00:00Z",
		"2024-03-31T00:59:59Z", "2024-03-31T00:00:00Z"),
	    "krkr");
}
