#include "config.h"

#include "common/calendar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "common/err.h"

struct next_case {
	char event[48];
	char zone[40];
	char from[40]; /* local time with its offset from UTC */
	char next[4][40];
};

static time_t
read_time(const char *s)
{
	struct tm tm;
	const char *end;
	long offset;

	memset(&tm, 0, sizeof(tm));
	end = strptime(s, "%Y-%m-%d %H:%M:%S %z", &tm);
	cr_assert(end != NULL && *end == '\0', "bad time in test: %s", s);
	offset = tm.tm_gmtoff; /* timegm() clears it */
	return timegm(&tm) - offset;
}

static const char *
show_time(char buf[64], time_t t)
{
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(buf, 64, "%Y-%m-%d %H:%M:%S %z", &tm);
	return buf;
}

static void
set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

/* Zones as rules, so that no time zone database is needed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define LORD_HOWE "LHST-10:30LHDT-11,M10.1.0,M4.1.0"

static struct next_case cases[] = {
    {"minutely", "UTC", "2024-02-28 23:58:30 +0000",
	{"2024-02-28 23:59:00 +0000", "2024-02-29 00:00:00 +0000"}},
    {"hourly", "UTC", "2024-12-31 23:00:00 +0000",
	{"2025-01-01 00:00:00 +0000", "2025-01-01 01:00:00 +0000"}},
    {"daily", "UTC", "2023-02-28 00:00:00 +0000",
	{"2023-03-01 00:00:00 +0000"}},
    {"weekly", "UTC", "2024-01-01 00:00:00 +0000", /* a Monday */
	{"2024-01-08 00:00:00 +0000"}},
    {"monthly", "UTC", "2024-01-31 12:00:00 +0000",
	{"2024-02-01 00:00:00 +0000", "2024-03-01 00:00:00 +0000"}},
    {"quarterly", "UTC", "2024-01-31 12:00:00 +0000",
	{"2024-04-01 00:00:00 +0000", "2024-07-01 00:00:00 +0000",
	    "2024-10-01 00:00:00 +0000", "2025-01-01 00:00:00 +0000"}},
    {"semiannually", "UTC", "2024-01-31 12:00:00 +0000",
	{"2024-07-01 00:00:00 +0000", "2025-01-01 00:00:00 +0000"}},
    {"Yearly", "UTC", "2024-01-31 12:00:00 +0000",
	{"2025-01-01 00:00:00 +0000"}},
    {"mon..fri 02:30", "UTC", "2024-01-04 02:30:00 +0000", /* Thursday */
	{"2024-01-05 02:30:00 +0000", "2024-01-08 02:30:00 +0000"}},
    {"Sat,Sunday", "UTC", "2024-01-04 02:30:00 +0000",
	{"2024-01-06 00:00:00 +0000", "2024-01-07 00:00:00 +0000",
	    "2024-01-13 00:00:00 +0000"}},
    {"fri..mon 1:00", "UTC", "2024-01-04 02:30:00 +0000",
	{"2024-01-05 01:00:00 +0000", "2024-01-06 01:00:00 +0000",
	    "2024-01-07 01:00:00 +0000", "2024-01-08 01:00:00 +0000"}},
    {"mon..tue 2:00", "UTC", "2024-01-09 02:30:00 +0000",
	{"2024-01-15 02:00:00 +0000"}},
    {"mon..sun/3 1:5", "UTC", "2024-01-01 02:00:00 +0000",
	{"2024-01-04 01:05:00 +0000", "2024-01-07 01:05:00 +0000",
	    "2024-01-08 01:05:00 +0000"}},
    {"*:0/15", "UTC", "2024-01-04 02:30:00 +0000",
	{"2024-01-04 02:45:00 +0000", "2024-01-04 03:00:00 +0000"}},
    {"*/5", "UTC", "2024-01-04 02:56:00 +0000",
	{"2024-01-04 03:00:00 +0000", "2024-01-04 03:05:00 +0000"}},
    {"mon..wed 30/10", "UTC", "2024-01-03 23:45:00 +0000",
	{"2024-01-03 23:50:00 +0000", "2024-01-08 00:30:00 +0000"}},
    {"8..17/4,22:00", "UTC", "2024-01-04 09:00:00 +0000",
	{"2024-01-04 12:00:00 +0000", "2024-01-04 16:00:00 +0000",
	    "2024-01-04 22:00:00 +0000", "2024-01-05 08:00:00 +0000"}},
    {"sat *-1..7 15:00", "UTC", "2024-01-06 15:00:00 +0000",
	{"2024-02-03 15:00:00 +0000"}},
    {"2026-*-31 00:00:10/20", "UTC", "2024-01-06 15:00:00 +0000",
	{"2026-01-31 00:00:10 +0000", "2026-01-31 00:00:30 +0000",
	    "2026-01-31 00:00:50 +0000", "2026-03-31 00:00:10 +0000"}},
    {"2-29", "UTC", "2024-03-01 00:00:00 +0000", {"2028-02-29 00:00:00 +0000"}},
    {"02:30", "UTC", "1960-01-01 00:00:00 +0000",
	{"1970-01-01 02:30:00 +0000"}},

    /* Clocks go forward: 02:00 to 03:00. */
    {"02:30", BERLIN, "2024-03-30 12:00:00 +0100",
	{"2024-03-31 03:00:00 +0200", "2024-04-01 02:30:00 +0200"}},
    {"02,03:00/30", BERLIN, "2024-03-31 01:00:00 +0100",
	{"2024-03-31 03:00:00 +0200", "2024-03-31 03:30:00 +0200",
	    "2024-04-01 02:00:00 +0200"}},
    {"*:0/30", BERLIN, "2024-03-31 01:00:00 +0100",
	{"2024-03-31 01:30:00 +0100", "2024-03-31 03:00:00 +0200",
	    "2024-03-31 03:30:00 +0200"}},
    {"*:30", BERLIN, "2024-03-31 01:30:00 +0100",
	{"2024-03-31 03:30:00 +0200"}},
    /* And back: 03:00 to 02:00. */
    {"02:30", BERLIN, "2024-10-26 12:00:00 +0200",
	{"2024-10-27 02:30:00 +0200", "2024-10-28 02:30:00 +0100"}},
    {"02:30", BERLIN, "2024-10-27 02:10:00 +0100",
	{"2024-10-28 02:30:00 +0100"}},
    {"*:0/30", BERLIN, "2024-10-27 02:00:00 +0200",
	{"2024-10-27 02:30:00 +0200", "2024-10-27 02:00:00 +0100",
	    "2024-10-27 02:30:00 +0100", "2024-10-27 03:00:00 +0100"}},
    {"daily", BERLIN, "2024-03-31 00:00:00 +0100",
	{"2024-04-01 00:00:00 +0200"}},
    {"monthly", BERLIN, "2024-03-15 00:00:00 +0100",
	{"2024-04-01 00:00:00 +0200"}},
    {"sun *:00", BERLIN, "2024-03-25 00:00:00 +0100",
	{"2024-03-31 00:00:00 +0100", "2024-03-31 01:00:00 +0100",
	    "2024-03-31 03:00:00 +0200"}},
    {"02:30 UTC", BERLIN, "2024-03-31 00:00:00 +0100",
	{"2024-03-31 04:30:00 +0200", "2024-04-01 04:30:00 +0200"}},
    /* Half an hour, and the southern hemisphere. */
    {"*:0/15", LORD_HOWE, "2024-04-07 01:45:00 +1100",
	{"2024-04-07 01:30:00 +1030", "2024-04-07 01:45:00 +1030",
	    "2024-04-07 02:00:00 +1030"}},
    {"2:15", LORD_HOWE, "2024-10-05 12:00:00 +1030",
	{"2024-10-06 02:30:00 +1100", "2024-10-07 02:15:00 +1100"}},
};

ParameterizedTestParameters(calendar, next)
{
	return cr_make_param_array(struct next_case, cases,
	    sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct next_case *n, calendar, next)
{
	struct calendar c;
	struct err e;
	char got[64];
	time_t t;
	int i;

	set_zone(n->zone);
	cr_assert(calendar_parse(n->event, &c, &e) == 0, "%s", e.msg);
	t = read_time(n->from);
	for (i = 0; i < 4 && n->next[i][0] != '\0'; i++) {
		t = calendar_next(&c, t);
		cr_assert_str_eq(show_time(got, t), n->next[i], "%s: %s",
		    n->event, got);
	}
}

/* Over two years and both changes: never backwards, never twice a day. */
Test(calendar, once_a_day)
{
	static const char *const events[] = {"01:59:59", "02:00", "02:30",
	    "02:59:59", "03:00", "03:00:01"};
	struct calendar c;
	struct err e;
	struct tm tm;
	time_t t;
	int i, n, day;

	set_zone(BERLIN);
	for (i = 0; i < 6; i++) {
		cr_assert(calendar_parse(events[i], &c, &e) == 0);
		t = read_time("2023-12-31 12:00:00 +0100");
		for (n = 0, day = -1; n < 731; n++, day = tm.tm_mday) {
			t = calendar_next(&c, t);
			localtime_r(&t, &tm);
			cr_assert(tm.tm_mday != day, "%s twice", events[i]);
		}
		cr_assert_eq(tm.tm_year, 125);
		cr_assert_eq(tm.tm_yday, 364, "%s: %d", events[i], tm.tm_yday);
	}
}

Test(calendar, comes_to_an_end)
{
	struct calendar c;
	struct err e;

	set_zone("UTC");
	cr_assert(calendar_parse("2020-1-1 *:00", &c, &e) == 0);
	cr_expect(
	    calendar_next(&c, read_time("2020-01-01 23:00:00 +0000")) == -1);
	cr_assert(calendar_parse("2020-1-1 1:00", &c, &e) == 0);
	cr_expect(
	    calendar_next(&c, read_time("2020-01-01 01:00:00 +0000")) == -1);
}

struct bad_case {
	char event[64];
	char says[64];
};

static struct bad_case bad[] = {
    {"", "is empty"},
    {"  ", "is empty"},
    {"utc", "is empty"},
    {"dayly", "'dayly' is not valid as day of the week"},
    {"daily 02:00", "'daily' is not valid as day of the week"},
    {"mon-fri 02:00", "'mon-fri' is not valid as day of the week"},
    {"12..6:00", "'12..6' runs backwards"},
    {"mon..", "'' is not valid as day of the week"},
    {"mon,,tue", "'' is not valid as day of the week"},
    {"mo", "'mo' is not valid as day of the week"},
    {"24:00", "'24' is not valid as hour"},
    {"12:60", "'60' is not valid as minute"},
    {"12:00:60", "'60' is not valid as second"},
    {"12:", "'' is not valid as minute"},
    {"1:2:3:4", "'1:2:3:4' is not a time of day"},
    {"002:00", "'002' is not valid as hour"},
    {"-1:00", "'-1' is not valid as hour"},
    {"*:0/0", "'/0' is not valid as repetition of minute"},
    {"*:0/61", "'/61' is not valid as repetition of minute"},
    {"*:0/", "'/' is not valid as repetition of minute"},
    {"*:5/x", "'/x' is not valid as repetition of minute"},
    {"*:30..10", "'30..10' runs backwards"},
    {"*:*..5", "'*' is not valid as minute"},
    {"13-01", "'13' is not valid as month"},
    {"1-0", "'0' is not valid as day"},
    {"1-2-3-4", "'1-2-3-4' is not a date"},
    {"1969-1-1", "'1969' is not valid as year"},
    {"2226-1-1", "'2226' is not valid as year"},
    {"02-30", "never happens"},
    {"2023-02-29", "never happens"},
    {"02:00 mon", "unexpected 'mon'"},
    {"02:00 1-1", "unexpected '1-1'"},
    {"02:00 03:00", "unexpected '03:00'"},
    {"mon tue", "unexpected 'tue'"},
    {"utc 02:00", "unexpected '02:00'"},
    {"1\x01:00", "'1\\x01' is not valid as hour"},
};

ParameterizedTestParameters(calendar, refuses)
{
	return cr_make_param_array(struct bad_case, bad,
	    sizeof(bad) / sizeof(bad[0]));
}

ParameterizedTest(struct bad_case *b, calendar, refuses)
{
	struct calendar c;
	struct err e;

	cr_assert(calendar_parse(b->event, &c, &e) == -1, "%s", b->event);
	cr_expect(e.code == ERR_PARAM);
	cr_expect(strstr(e.msg, b->says) != NULL, "%s: %s", b->event, e.msg);
}

Test(calendar, refuses_what_is_too_long)
{
	struct calendar c;
	struct err e;
	char text[400];

	memset(text, ' ', sizeof(text));
	memcpy(text + 392, "daily", 6);
	cr_assert(calendar_parse(text, &c, &e) == -1);
	cr_expect(strstr(e.msg, "too long") != NULL);
}
